//! Prints a megabyte of two-byte lines at one blow, and answers.
#![cfg(target_arch = "wasm32")]

use std::io::Write as _;

use wasip2::http::types::{IncomingRequest, ResponseOutparam};
use wasmgate_test_guests::{answer, serve};

serve!(handle);

fn handle(_: IncomingRequest, out: ResponseOutparam) {
    let lines = "x\n".repeat(512 * 1024);
    let _ = std::io::stdout().write_all(lines.as_bytes());
    let _ = std::io::stdout().flush();
    answer(out, 200, "printed");
}
