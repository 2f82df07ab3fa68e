//! Writes to stdout and stderr: whole lines, a line in two parts, bytes that are not UTF-8, a line
//! that a terminal would write over, a last line without its end.
#![cfg(target_arch = "wasm32")]

use std::io::Write as _;

use wasip2::http::types::{IncomingRequest, ResponseOutparam};
use wasmgate_test_guests::{answer, query, serve};

serve!(handle);

fn handle(request: IncomingRequest, out: ResponseOutparam) {
    if query(&request, "long").is_some() {
        println!("{}", "l".repeat(1024 * 1024));
        answer(out, 200, "written");
        return;
    }
    println!("first line on stdout");
    eprintln!("first line on stderr");
    print!("a line ");
    let _ = std::io::stdout().flush();
    println!("in two parts");
    let _ = std::io::stderr().write_all(b"not \xff utf-8\r\n");
    println!("one thing\ranother");
    print!("no newline at the end");
    let _ = std::io::stdout().flush();
    answer(out, 200, "written");
}
