//! The start-up of a package, done once where its host takes snapshots.

#[cfg(target_family = "wasm")]
use std::cell::Cell;

use crate::Router;

/// Does what a package needs before it can answer once, when it is registered, instead of in each of its instances:
/// where its host takes snapshots (`snapshot = true` of a package in Wasmgate), instances begin with what it leaves in
/// memory. Elsewhere nobody calls it, so that what it prepares has to prepare itself when it is first used, as a
/// [`LazyLock`](std::sync::LazyLock) does.
///
/// ```
/// use std::sync::LazyLock;
/// use wasmgate_sdk::{FrozenMap, Router, init, serve};
///
/// static PRICES: LazyLock<FrozenMap<&str, u32>> =
///     LazyLock::new(|| FrozenMap::from([("espresso", 2), ("flat white", 4)]));
///
/// fn start_up() {
///     LazyLock::force(&PRICES);
/// }
///
/// fn app() -> Router {
///     Router::new().get("/espresso", |_| format!("{:?}\n", PRICES.get("espresso")))
/// }
///
/// init!(start_up);
/// serve!(app);
/// # fn main() {}
/// ```
///
/// The function returns nothing, or the [`Router`] itself, which is kept then and not built again:
///
/// ```
/// # use wasmgate_sdk::{Router, init, serve};
/// fn app() -> Router {
///     Router::new().get("/", |_| "home")
/// }
///
/// init!(app);
/// serve!(app);
/// # fn main() {}
/// ```
///
/// All instances begin with the same bytes, so that start-up may ask nothing of its host: no time, no randomness, no
/// variable, no request, no output. A host that takes snapshots refuses a package that does. Rust's own `HashMap` asks
/// for a random seed when it is made; [`FrozenMap`](crate::FrozenMap) needs none.
#[macro_export]
macro_rules! init {
    ($start_up:path) => {
        const _: () = {
            #[allow(
                dead_code,
                reason = "natively nobody calls it, and it is to compile all the same"
            )]
            fn __wasmgate_start_up() {
                $crate::__private_init::Keep::keep($start_up());
            }

            $crate::__export_init!(__wasmgate_start_up);
        };
    };
}

/// Exports the start-up under the name by which wizer calls it.
#[cfg(target_family = "wasm")]
#[doc(hidden)]
#[macro_export]
macro_rules! __export_init {
    ($start_up:ident) => {
        #[allow(
            unsafe_code,
            reason = "the names are those of the component model, and nobody else's"
        )]
        #[unsafe(export_name = "wizer-initialize")]
        extern "C" fn __wasmgate_exported() {
            $start_up();
        }

        #[allow(
            unsafe_code,
            reason = "the section is read by the linker, which makes a component of the module"
        )]
        #[unsafe(link_section = "component-type:wasmgate-sdk:start-up")]
        #[used]
        static __WASMGATE_WORLD: [u8; $crate::__private_init::WORLD_BYTES] = *$crate::__private_init::WORLD;
    };
}

/// Exports nothing: there is no host.
#[cfg(not(target_family = "wasm"))]
#[doc(hidden)]
#[macro_export]
macro_rules! __export_init {
    ($start_up:ident) => {};
}

/// What start-up returns, to be kept.
pub trait Keep {
    /// Keeps it until the end of the instance.
    fn keep(self);
}

impl Keep for () {
    fn keep(self) {}
}

impl Keep for Router {
    #[cfg(target_family = "wasm")]
    fn keep(self) {
        keep(self);
    }

    #[cfg(not(target_family = "wasm"))]
    fn keep(self) {}
}

#[cfg(target_family = "wasm")]
thread_local! {
    /// The router of this instance, once it is built.
    static KEPT: Cell<Option<&'static Router>> = const { Cell::new(None) };
}

/// Keeps a router for every request of the instance.
#[cfg(target_family = "wasm")]
pub(crate) fn keep(router: Router) -> &'static Router {
    let kept = Box::leak(Box::new(router));
    KEPT.set(Some(kept));
    kept
}

/// The router that start-up, or the request before, has built, if there is one.
#[cfg(target_family = "wasm")]
pub(crate) fn kept() -> Option<&'static Router> {
    KEPT.get()
}

/// The world `start-up { export wizer-initialize: func(); }` of a package `wasmgate:sdk`, encoded as wit-bindgen does
/// it (<https://github.com/WebAssembly/component-model/blob/main/design/mvp/Binary.md>): wit-component adds it to the
/// world of the handler.
#[cfg(target_family = "wasm")]
pub const WORLD: &[u8; WORLD_BYTES] = b"\0asm\x0d\0\x01\0\
    \0\x19\x16wit-component-encoding\x04\0\
    \x07\x3a\x01A\x02\x01A\x02\x01@\0\x01\0\x04\0\x10wizer-initialize\x01\0\
    \x04\0\x15wasmgate:sdk/start-up\x04\0\
    \x0b\x0e\x01\0\x08start-up\x03\0\0";

/// Its length.
#[cfg(target_family = "wasm")]
pub const WORLD_BYTES: usize = 111;
