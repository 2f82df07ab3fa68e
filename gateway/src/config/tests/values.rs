//! Keys and values that are none.

use super::*;

#[test]
fn an_unknown_key_is_refused_with_the_nearest_one() {
    for (text, line, right) in [
        ("[sever]", 1, "server"),
        ("[server]\ndrain-timeout = \"1s\"", 2, "drain_timeout"),
        ("[limits]\ntimeuot = \"1s\"", 2, "timeout"),
        ("[dapr]\nmod = \"sidecar\"", 2, "mode"),
        ("[packages]", 1, "package"),
        ("[[routes]]", 1, "route"),
        (
            "[package.hello]\nsource=\"hello.wasm\"\nlimit = {}",
            3,
            "limits",
        ),
        (
            "[package.hello]\nsource=\"hello.wasm\"\nlimits.tiemout = 1",
            3,
            "timeout",
        ),
        (
            "[package.hello]\nsource=\"hello.wasm\"\ndapr.stat = []",
            3,
            "state",
        ),
        (
            &with_route("path = \"/\"\npackage = \"hello\"\nmethod = []"),
            6,
            "methods",
        ),
    ] {
        assert_eq!(mistake(text).0, line, "{text}");
        assert!(help(text).contains(&format!("{right:?}")), "{text}");
    }
}

#[test]
fn an_unknown_key_that_is_near_to_nothing_gets_the_list_of_keys() {
    assert!(help("[server]\nelephants = 3").contains("header_timeout"));
}

#[test]
fn a_wrong_type_is_refused_where_it_is() {
    for (text, key) in [
        ("server = 1", "server"),
        ("package = []", "package"),
        ("[package]\nhello = 1", "package.hello"),
        ("route = 1", "route"),
        ("[route]\npath = \"/\"", "route"),
        ("route = [1]", "route"),
        ("[server]\nlisten = 3000", "server.listen"),
        ("[server]\nworkers = \"2\"", "server.workers"),
        ("[server]\nworkers = 2.5", "server.workers"),
        ("[server]\ndrain_timeout = 30", "server.drain_timeout"),
        ("[server]\ncache = 1979-05-27", "server.cache"),
        ("[dapr]\nsubstitute = \"yes\"", "dapr.substitute"),
        ("[dapr]\nquotas.state = 5", "dapr.quotas.state"),
        ("[dapr]\nquotas.jobs = \"5\"", "dapr.quotas.jobs"),
        (
            "[package.hello]\nsource=\"hello.wasm\"\nenv = [\"A=b\"]",
            "package.hello.env",
        ),
        (
            "[package.hello]\nsource=\"hello.wasm\"\nenv.A = 1",
            "package.hello.env.A",
        ),
        (
            "[package.hello]\nsource=\"hello.wasm\"\noutbound = \"x\"",
            "package.hello.outbound",
        ),
        (
            "[package.hello]\nsource=\"hello.wasm\"\ndapr = true",
            "package.hello.dapr",
        ),
        (
            &with_route("path = \"/\"\npackage = \"hello\"\nmethods = [1]"),
            "route.methods",
        ),
    ] {
        assert_eq!(mistake(text).2, key, "{text}");
    }
}

#[test]
fn numbers_out_of_range_are_refused() {
    for text in [
        "[server]\nworkers = -1",
        "[server]\nworkers = 1025",
        "[server]\nworkers = 9223372036854775807",
        "[server]\nworkers = 0x_",
        "[limits]\nconcurrency = 0",
        "[limits]\nconcurrency = 340282366920938463463374607431768211456",
    ] {
        assert_eq!(mistakes(text).len(), 1, "{text}");
    }
}

#[test]
fn durations_and_sizes_need_a_known_unit_and_a_number_in_range() {
    for text in [
        "30",
        "30 sec",
        "s",
        "-1s",
        "1.5s",
        "0s",
        "25h",
        "18446744073709551615h",
        "٣s",
        "",
        "99999999999999999999s",
    ] {
        let (_, _, key) = mistake(&format!("[limits]\ntimeout = {text:?}"));
        assert_eq!(key, "limits.timeout", "{text}");
    }
    for text in [
        "128",
        "128MB",
        "128mib",
        "MiB",
        "0B",
        "63KiB",
        "5GiB",
        "18446744073709551615TiB",
        "1e3B",
    ] {
        let (_, _, key) = mistake(&format!("[limits]\nmemory = {text:?}"));
        assert_eq!(key, "limits.memory", "{text}");
    }
}

#[test]
fn private_ranges_are_opened_and_no_others() {
    let config = accepted(&format!(
        "[server]\noutbound_private = [\"10.0.0.0/8\", \"fd12:3456::/32\"]\n{HELLO}"
    ));
    assert_eq!(config.server.outbound_private.len(), 2);
    for (range, column) in [
        ("10.0.0.0", 21),
        ("0.0.0.0/0", 21),
        ("127.0.0.0/8", 21),
        ("169.254.0.0/16", 21),
        ("example.com", 21),
    ] {
        let text = format!("[server]\noutbound_private = [\"{range}\"]\n{HELLO}");
        let key = "server.outbound_private".to_owned();
        assert_eq!(mistake(&text), (2, column, key), "{range}");
    }
}

#[test]
fn outgoing_requests_have_limits_of_their_own() {
    let config = accepted(&format!(
        "[limits]\noutbound_concurrency = 7\n{HELLO}limits = {{ outbound_per_instance = 3 }}\n"
    ));
    let limits = config.packages[0].limits;
    assert_eq!(limits.outbound_concurrency, 7);
    assert_eq!(limits.outbound_per_instance, 3);
}
