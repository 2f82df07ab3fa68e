//! The program: run, and tell a failure.

use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    match wasmgate_loadtest::run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("wasmgate-loadtest: {error:#}");
            ExitCode::FAILURE
        }
    }
}
