//! Components that are written as text, and what `wasmgate check` says of one package.

use std::{path::Path, process::Output};

use super::{TestGateway, run};

/// `EX_USAGE`: the exit code of a mistake in the configuration or in a package.
const USAGE: i32 = 64;

/// A component that exports the HTTP handler of WASI 0.2.0, see [`handler_text`].
pub(crate) fn handler_component(core: &str, exports: &str) -> Vec<u8> {
    wat::parse_str(handler_text(0, core, exports)).unwrap()
}

/// A component that exports the HTTP handler of a patch level of WASI 0.2, as text. `core` has the core instance
/// `$code`, whose function `handle` is the handler; `exports` follows the handler's.
pub(crate) fn handler_text(patch: u32, core: &str, exports: &str) -> String {
    format!(
        r#"(component
          (import "wasi:http/types@0.2.{patch}" (instance $types
            (export "incoming-request" (type (sub resource)))
            (export "response-outparam" (type (sub resource)))))
          (alias export $types "incoming-request" (type $request))
          (alias export $types "response-outparam" (type $outparam))
          {core}
          (func $handle (param "request" (own $request)) (param "response-out" (own $outparam))
            (canon lift (core func $code "handle")))
          (instance $handler (export "handle" (func $handle)))
          (export "wasi:http/incoming-handler@0.2.{patch}" (instance $handler))
          {exports})"#
    )
}

/// Checks a configuration of one package, with these lines in its table.
pub(crate) fn check(folder: &Path, source: &Path, lines: &str) -> Output {
    let toml = TestGateway::builder()
        .cache(&folder.join("compiled"))
        .package("suspect", source, lines)
        .route("/suspect", "suspect")
        .toml();
    std::fs::write(folder.join("wasmgate.toml"), toml).unwrap();
    run(folder, &["check"])
}

/// What a check has printed, if it took the package.
#[track_caller]
pub(crate) fn accepted(output: &Output) -> String {
    let told = [output.stdout.as_slice(), &output.stderr].concat();
    let told = String::from_utf8_lossy(&told).into_owned();
    assert!(output.status.success(), "{told}");
    told
}

/// Expects a mistake whose message has all of these words, wherever its lines break.
#[track_caller]
pub(crate) fn assert_refused(output: &Output, words: &[&str]) {
    let told = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(USAGE), "{told}");
    let one_line = told.split_whitespace().collect::<Vec<_>>().join(" ");
    for word in words {
        assert!(
            told.contains(word) || one_line.contains(word),
            "nothing about {word} in:\n{told}"
        );
    }
}
