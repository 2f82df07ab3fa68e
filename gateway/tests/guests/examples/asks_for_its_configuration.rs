//! Asks `wasi:config` for `?key=`, or for everything without it, under the name that `?by=` says.
#![cfg(target_arch = "wasm32")]
#![allow(
    missing_docs,
    reason = "the bindings are made of interfaces that say what they are"
)]

use wasip2::http::types::{IncomingRequest, ResponseOutparam};
use wasmgate_test_guests::{answer, query, serve};

/// The interface under one of its names.
macro_rules! under {
    ($module:ident, $wit:literal) => {
        mod $module {
            wit_bindgen::generate!({ inline: $wit });
        }
    };
}

under!(
    proposed,
    r"
    package wasi:config@0.2.0-rc.1;
    interface store {
        variant error { upstream(string), io(string) }
        get: func(key: string) -> result<option<string>, error>;
        get-all: func() -> result<list<tuple<string, string>>, error>;
    }
    world imports { import store; }
    "
);
under!(
    drafted,
    r"
    package wasi:config@0.2.0-draft;
    interface store {
        variant error { upstream(string), io(string) }
        get: func(key: string) -> result<option<string>, error>;
        get-all: func() -> result<list<tuple<string, string>>, error>;
    }
    interface runtime {
        variant config-error { upstream(string), io(string) }
        get: func(key: string) -> result<option<string>, config-error>;
        get-all: func() -> result<list<tuple<string, string>>, config-error>;
    }
    world imports { import store; import runtime; }
    "
);
under!(
    spins,
    r"
    package wasi:config@0.2.0-draft-2024-09-27;
    interface store {
        variant error { upstream(string), io(string) }
        get: func(key: string) -> result<option<string>, error>;
        get-all: func() -> result<list<tuple<string, string>>, error>;
    }
    world imports { import store; }
    "
);

serve!(handle);

fn handle(request: IncomingRequest, out: ResponseOutparam) {
    let key = query(&request, "key");
    macro_rules! ask {
        ($interface:path) => {{
            use $interface as interface;
            match &key {
                Some(key) => format!("{:?}", interface::get(key)),
                None => format!("{:?}", interface::get_all()),
            }
        }};
    }
    let told = match query(&request, "by").as_deref() {
        Some("draft") => ask!(drafted::wasi::config::store),
        Some("runtime") => ask!(drafted::wasi::config::runtime),
        Some("spin") => ask!(spins::wasi::config::store),
        _ => ask!(proposed::wasi::config::store),
    };
    answer(out, 200, &told);
}
