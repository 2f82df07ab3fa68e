//! Looks through its whole memory for marks of an earlier request, then leaves marks of its own on the heap, on the
//! stack and in `?grow=` pages it grows by; with `?trap=1` it ends in a trap, and with `?after=1` it looks once more.
#![cfg(target_arch = "wasm32")]
#![allow(
    unsafe_code,
    reason = "a canary reads and writes all of its memory, whoever owns it"
)]

use std::{
    arch::wasm32::{memory_grow, memory_size},
    hint::black_box,
};

use wasip2::http::types::{IncomingRequest, ResponseOutparam};
use wasmgate_test_guests::{answer, query, serve};

serve!(handle);

const PAGE: usize = 65_536;

/// A mark is `KEY ^ MASK`; the two are never in memory together, so only an earlier request can have left it.
const KEY: u64 = 0x5afe_c0de_1ea4_0bad;
const MASK: u64 = 0x0ff1_ce00_dead_beef;

fn handle(request: IncomingRequest, out: ResponseOutparam) {
    let mut found = first_mark();
    let pages = query(&request, "grow")
        .and_then(|pages| pages.parse().ok())
        .unwrap_or(0);
    leave_marks(pages);
    if query(&request, "trap").is_some() {
        std::process::abort();
    }
    if query(&request, "after").is_some() {
        found = first_mark();
    }
    match found {
        None => answer(out, 200, "clean"),
        Some(at) => answer(out, 200, &format!("found at {at}")),
    }
}

fn first_mark() -> Option<usize> {
    let words = memory_size::<0>() * PAGE / 8;
    (1..words).map(|word| word * 8).find(|at| {
        // SAFETY: every address below the memory's size can be read.
        let word = unsafe { (*at as *const u64).read_volatile() };
        word ^ black_box(KEY) == MASK
    })
}

fn leave_marks(pages: usize) {
    let mut stack = [0_u64; 4096];
    stack.fill(black_box(KEY) ^ black_box(MASK));
    black_box(&stack);
    let mut heap = vec![0_u64; 32_768];
    heap.fill(black_box(KEY) ^ black_box(MASK));
    black_box(&heap);
    std::mem::forget(heap);
    let before = memory_grow::<0>(pages);
    if before != usize::MAX {
        for at in (before * PAGE..(before + pages) * PAGE).step_by(8) {
            // SAFETY: the memory has just grown by these pages, and nobody else knows them.
            unsafe { (at as *mut u64).write_volatile(black_box(KEY) ^ black_box(MASK)) };
        }
    }
}
