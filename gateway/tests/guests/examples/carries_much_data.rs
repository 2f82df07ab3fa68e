//! Has two megabytes of data, answers the byte at `?at=`, and leaves another there.
#![cfg(target_arch = "wasm32")]

use std::{
    hint::black_box,
    sync::atomic::{AtomicU8, Ordering},
};

use wasip2::http::types::{IncomingRequest, ResponseOutparam};
use wasmgate_test_guests::{answer, query, serve};

serve!(handle);

static DATA: [AtomicU8; 2 << 20] = [const { AtomicU8::new(7) }; 2 << 20];

fn handle(request: IncomingRequest, out: ResponseOutparam) {
    let at = query(&request, "at")
        .and_then(|at| at.parse::<usize>().ok())
        .unwrap_or(0);
    let byte = black_box(&DATA).get(at);
    let byte = byte.map_or(0, |byte| byte.swap(9, Ordering::Relaxed));
    answer(out, 200, &byte.to_string());
}
