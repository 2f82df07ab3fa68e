//! Prepares a table of prime numbers at its start, with the SDK. A request for `/prime?n=` looks one up and says when
//! the table was made; `/seed` says what a hash map of this instance makes of a fixed key, and `/you` greets when the
//! table is there.
#![cfg(target_arch = "wasm32")]

use std::{
    hash::{BuildHasher as _, RandomState},
    sync::{
        LazyLock,
        atomic::{AtomicBool, Ordering},
    },
};

use wasmgate_sdk::{FrozenMap, Request, Router, init, serve};

/// Enough of them to take five milliseconds, and some hundred kilobytes.
const MOST: u32 = 250_000;

static IS_SERVING: AtomicBool = AtomicBool::new(false);

static PRIMES: LazyLock<Primes> = LazyLock::new(|| {
    let mut found = Vec::<u32>::new();
    for number in 2..MOST {
        let mut smaller = found.iter().take_while(|prime| *prime * *prime <= number);
        if smaller.all(|prime| number % prime != 0) {
            found.push(number);
        }
    }
    Primes {
        by_number: found.into_iter().enumerate().collect(),
        was_serving: IS_SERVING.load(Ordering::Relaxed),
    }
});

struct Primes {
    by_number: FrozenMap<usize, u32>,
    was_serving: bool,
}

init!(start_up);
serve!(app);

fn start_up() {
    LazyLock::force(&PRIMES);
}

fn app() -> Router {
    IS_SERVING.store(true, Ordering::Relaxed);
    Router::new()
        .get("/{*rest}", |request: Request| {
            let number = request
                .query_param("n")
                .and_then(|n| n.parse().ok())
                .unwrap_or(0);
            let prime = PRIMES.by_number.get(&number).copied().unwrap_or(0);
            let when = if PRIMES.was_serving {
                "in a request"
            } else {
                "at the start"
            };
            format!("{prime}, made {when}")
        })
        .get("/you", |_| {
            LazyLock::force(&PRIMES);
            "Hello, you!\n"
        })
        .get("/{place}/seed", |_| {
            RandomState::new().hash_one("key").to_string()
        })
}
