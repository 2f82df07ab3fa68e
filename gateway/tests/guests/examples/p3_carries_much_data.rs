//! Has two megabytes of data in WASI 0.3 and prepares itself at its start: counts what of it is not as it was, and
//! writes over all of it.
#![cfg(target_arch = "wasm32")]

use std::sync::atomic::{AtomicU8, AtomicU32, Ordering};

use wasip3::http::types::{ErrorCode, Request, Response};
use wasmgate_sdk::init;
use wasmgate_test_guests::{p3::answer, serve_p3};

init!(start_up);
serve_p3!(handle);

static DATA: [AtomicU8; 2 << 20] = [const { AtomicU8::new(7) }; 2 << 20];
static PREPARED: AtomicU32 = AtomicU32::new(0);

fn start_up() {
    PREPARED.fetch_add(1, Ordering::Relaxed);
}

async fn handle(_request: Request) -> Result<Response, ErrorCode> {
    let is_other = |byte: &&AtomicU8| byte.load(Ordering::Relaxed) != 7;
    let other = DATA.iter().filter(is_other).count();
    for byte in &DATA {
        byte.store(9, Ordering::Relaxed);
    }
    let prepared = PREPARED.fetch_add(10, Ordering::Relaxed);
    Ok(answer(200, &format!("{other} other, prepared {prepared}")))
}
