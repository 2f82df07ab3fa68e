//! What is logged of a trap: the reason, and the package's own functions in the backtrace.

use std::fmt::Write as _;

use rustc_demangle::demangle;
use wasmtime::WasmBacktrace;

/// The maximum number of functions; outer frames are the same for every request.
const FUNCTIONS: usize = 10;

/// wasmtime's message for stack exhaustion.
const STACK_IS_USED_UP: &str = "call stack exhausted";

/// Prefixes of functions that are on the path of every panic and every request.
const OF_THE_LANGUAGE: [&str; 14] = [
    "std::",
    "core::",
    "alloc::",
    "<std::",
    "<core::",
    "<alloc::",
    "__rust",
    "__wasm",
    "_rust",
    "rust_",
    "abort",
    "_start",
    "wit_bindgen",
    "<&T as ",
];

/// The cause, and a line per function, innermost first.
pub(super) fn readable(error: &wasmtime::Error) -> String {
    let Some(trace) = error.downcast_ref::<WasmBacktrace>() else {
        return format!("{error:#}");
    };
    let names = trace.frames().iter().map(|frame| frame.func_name());
    // `{:#}` omits the hash suffix.
    let names = names.map(|name| name.map(|name| format!("{:#}", demangle(name))));
    told(&error.root_cause().to_string(), &names.collect::<Vec<_>>())
}

fn told(cause: &str, names: &[Option<String>]) -> String {
    let mut told = cause.to_owned();
    if cause.contains(STACK_IS_USED_UP) {
        told += "\n    raise `stack` in the package's `limits` if it is to call so deep";
    }
    if names.iter().all(Option::is_none) {
        told += "\n    the component has no names of functions; link it with strip=debuginfo in place of strip=symbols";
        return told;
    }
    let all = || names.iter().flatten().map(String::as_str);
    let is_own = |name: &&str| {
        !OF_THE_LANGUAGE
            .iter()
            .any(|beginning| name.starts_with(beginning))
    };
    let mut own: Vec<&str> = all().filter(is_own).collect();
    if own.is_empty() {
        own = all().collect();
    }
    for name in own.iter().take(FUNCTIONS) {
        let _ = write!(told, "\n    at {name}");
    }
    if let Some(more @ 1..) = own.len().checked_sub(FUNCTIONS) {
        let _ = write!(told, "\n    and {more} more");
    }
    told
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(names: &[&str]) -> Vec<Option<String>> {
        names.iter().map(|name| Some((*name).to_owned())).collect()
    }

    #[test]
    fn the_packages_own_functions_are_named_and_not_those_of_the_language() {
        let names = names(&[
            "abort",
            "std::process::abort",
            "core::panicking::panic_fmt",
            "greeter::boom",
            "greeter::app",
        ]);
        assert_eq!(
            told("wasm trap", &names),
            "wasm trap\n    at greeter::boom\n    at greeter::app"
        );
    }

    #[test]
    fn a_long_way_is_cut_and_a_way_of_the_language_alone_is_shown() {
        let deep = vec!["greeter::dive"; 1_000];
        let told_deep = told("wasm trap: call stack exhausted", &names(&deep));
        assert_eq!(told_deep.lines().count(), 13);
        assert!(told_deep.contains("raise `stack`"));
        assert!(told_deep.ends_with("and 990 more"));
        assert_eq!(told("x", &names(&["abort"])), "x\n    at abort");
    }

    #[test]
    fn a_component_without_names_is_told_how_to_get_them() {
        assert!(told("wasm trap", &[None, None]).contains("strip=debuginfo"));
    }
}
