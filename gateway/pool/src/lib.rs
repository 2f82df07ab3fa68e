//! Pooled linear memories and fiber stacks for [wasmtime]: every instance starts with clean memory,
//! and in the steady state neither starting nor ending one costs a mapping, a page fault or an
//! interrupt to another core.
//!
//! Wasmtime's own pool gives a slot back with `madvise(MADV_DONTNEED)`: the kernel interrupts every
//! core that runs a thread of the process, and the next instance faults its pages in again. This
//! pool asks the kernel which pages hold data, zeroes those in place, and keeps them for the next
//! instance of the same size on the same worker.
//!
//! ```
//! use wasmgate_pool::Settings;
//! use wasmtime::{Config, Engine, Instance, Module, Store};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let mut config = Config::new();
//! let pool = wasmgate_pool::configure(&mut config, Settings::default())?;
//! let engine = Engine::new(&config)?;
//! let module = Module::new(&engine, wat::parse_str("(module (memory 16))")?)?;
//! for _ in 0..100 {
//!     let mut store = Store::new(&engine, ());
//!     Instance::new(&mut store, &module, &[])?;
//! }
//! let memories = pool.metrics().memories;
//! assert_eq!((memories.live, memories.warm), (0, 1));
//! assert_eq!(memories.events.created, 1);
//! # Ok(())
//! # }
//! ```
//!
//! # What it promises
//! - No byte written through one memory is read through a later one. How returned memory is found
//!   clean is tested when the pool is made ([`ResetMethod`]), any surprise at run time sends the rest
//!   of the memory back to the kernel, and a slot that cannot be made clean is unmapped.
//! - Limits on memories and stacks are errors of that one instantiation or call ([`Refusal`]).
//! - A fork of the process does not believe the parent's page map: it falls back to `madvise`.
//!
//! # What the embedder does
//! - Limit what one store may use: a [`wasmtime::ResourceLimiter`] for the sum of its memories and
//!   tables. The pool's limits count slots.
//! - Call [`Pool::trim`] now and then.
//! - Count an instance as one that goes on until its memory is clean ([`unfinished`]): one of many megabytes is made so
//!   by another thread, after its store is gone.
//! - Give guests enough initial memory: one that grows costs two system calls more.
//! - Set epochs, fuel and the size of stacks as needed; they are independent of the pool. Without
//!   WASI 0.3, `Config::concurrency_support(false)` saves a third of a short call.
//! - Mind large data segments: they are copied at each instantiation, about 70 µs a megabyte. Beyond some hundred
//!   kilobytes take the data out of the module and give it as an [`Image`].
#![allow(
    unsafe_code,
    reason = "mapping memory for compiled code is what this crate is for"
)]

#[cfg(not(all(target_os = "linux", target_pointer_width = "64")))]
compile_error!(
    "wasmgate-pool needs 64-bit Linux: depend on it by [target.'cfg(target_os = \"linux\")'.dependencies] and use \
     wasmtime's own allocators elsewhere"
);

mod error;
mod fork;
mod image;
mod later;
mod memory;
mod metrics;
mod pagemap;
mod pool;
mod region;
mod reset;
mod selftest;
mod settings;
mod shard;
mod slots;
mod stack;
#[cfg(test)]
mod tests;

pub use error::{Error, Exhausted, Refusal};
pub use image::{Image, ImageOf, Images, Missed};
pub use later::{Unfinished, unfinished};
pub use metrics::{Events, Fallbacks, Metrics, Refusals, Usage};
pub use pool::Pool;
pub use selftest::ResetMethod;
pub use settings::{
    DEFAULT_GUARD_BYTES, DEFAULT_KEEP_RESIDENT_BYTES, DEFAULT_MAX_MEMORIES, DEFAULT_MAX_STACKS,
    DEFAULT_MAX_WARM_BYTES_PER_WORKER, DEFAULT_MAX_WARM_PER_WORKER, DEFAULT_RESERVATION_BYTES, STACK_GUARD_BYTES,
    Settings,
};

/// Makes a pool and sets up `config` so that its engine takes every memory and stack from it.
///
/// Sets the allocation strategy (on demand), `memory_init_cow` (off), reservation, guard, growth and
/// movement of memories and GC heaps, and the host's memory and stack creators; leave those as they
/// are. An engine that only compiles must be set up the same way, or its code is not accepted.
///
/// # Errors
/// As [`Pool::new`].
pub fn configure(config: &mut wasmtime::Config, settings: Settings) -> Result<Pool, Error> {
    let pool = Pool::new(settings)?;
    pool.attach(config);
    Ok(pool)
}
