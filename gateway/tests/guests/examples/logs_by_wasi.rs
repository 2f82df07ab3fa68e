//! Gives lines to the log by `wasi:logging`, as many as `?lines=` says, at every level.
#![cfg(target_arch = "wasm32")]
#![allow(
    missing_docs,
    reason = "the bindings are made of interfaces that say what they are"
)]

use wasip2::http::types::{IncomingRequest, ResponseOutparam};
use wasmgate_test_guests::{answer, number, serve};

mod draft {
    wit_bindgen::generate!({
        inline: r"
            package wasi:logging@0.1.0-draft;
            interface logging {
                enum level { trace, debug, info, warn, error, critical }
                log: func(level: level, context: string, message: string);
            }
            world imports { import logging; }
        ",
    });
}

mod plain {
    wit_bindgen::generate!({
        inline: r"
            package wasi:logging;
            interface logging {
                enum level { trace, debug, info, warn, error, critical }
                log: func(level: level, context: string, message: string);
            }
            world imports { import logging; }
        ",
    });
}

use draft::wasi::logging::logging::{Level, log};

serve!(handle);

fn handle(request: IncomingRequest, out: ResponseOutparam) {
    for at in 0..number(&request, "lines") {
        for (level, name) in [
            (Level::Trace, "trace"),
            (Level::Debug, "debug"),
            (Level::Info, "info"),
            (Level::Warn, "warn"),
            (Level::Error, "error"),
            (Level::Critical, "critical"),
        ] {
            log(level, "till", &format!("{name} {at}\nits second line"));
        }
    }
    log(Level::Info, &"ü".repeat(1000), "of a long context");
    plain::wasi::logging::logging::log(
        plain::wasi::logging::logging::Level::Warn,
        "a\nb",
        "without a version",
    );
    answer(out, 200, "logged");
}
