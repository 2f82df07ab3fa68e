//! Configurations that are accepted, and the mistakes that others are refused for.

use std::{fs, net::SocketAddr, path::Path, time::Duration};

use http::uri::Scheme;
use wasmgate_common::{Code, Position};

use super::*;
use crate::{engine::StackSize, routes::PathPattern};

/// A folder with the component `hello.wasm`, and a configuration for it.
struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("hello.wasm"), b"\0asm").unwrap();
        Self(folder)
    }

    fn file(&self) -> PathBuf {
        self.0.path().join("wasmgate.toml")
    }

    fn parse(&self, text: &str) -> Result<Config, Rejected> {
        parse(text.as_bytes(), &self.file(), &Environment::default())
    }
}

fn accepted(text: &str) -> Config {
    Folder::new()
        .parse(text)
        .unwrap_or_else(|rejected| panic!("{rejected}"))
}

fn mistakes(text: &str) -> Vec<Diagnostic> {
    let rejected = Folder::new().parse(text).unwrap_err();
    rejected.diagnostics.into_iter().collect()
}

/// The only mistake, as line, column and key.
fn mistake(text: &str) -> (u32, u32, String) {
    let all = mistakes(text);
    let [one] = all.as_slice() else {
        panic!("not one mistake but {all:#?}");
    };
    let Position { line, column } = one.place.position.unwrap();
    (line, column, one.place.key.clone())
}

/// The help of the only mistake.
fn help(text: &str) -> String {
    let all = mistakes(text);
    assert_eq!(all.len(), 1, "{all:#?}");
    all[0].help.clone()
}

const HELLO: &str = "[package.hello]\nsource = \"hello.wasm\"\n";

fn with_route(route: &str) -> String {
    format!("{HELLO}[[route]]\n{route}\n")
}

#[test]
fn an_empty_file_is_a_configuration_of_defaults() {
    let config = accepted("");
    assert_eq!(
        config.server.listen,
        "127.0.0.1:3000".parse::<SocketAddr>().unwrap()
    );
    assert_eq!(
        config.server.admin,
        "127.0.0.1:9090".parse::<SocketAddr>().unwrap()
    );
    assert!(config.server.workers >= 1);
    assert_eq!(config.dapr.mode, DaprMode::Embedded);
    assert_eq!(config.dapr.sidecar, "http://localhost:3500");
    assert!(config.dapr.invoke_local);
    assert_eq!(config.dapr.components, None);
    assert!(config.packages.is_empty() && config.routes.is_empty());
}

#[test]
fn every_key_is_read() {
    let folder = Folder::new();
    fs::create_dir(folder.0.path().join("parts")).unwrap();
    let config = folder
        .parse(
            r#"
            [server]
            listen = "0.0.0.0:80"
            admin = "[::1]:81"
            workers = 3
            drain_timeout = "2m"
            header_timeout = "500ms"
            request_head = "16KiB"
            request_headers = 200
            cache = "/var/cache/wasmgate"
            [limits]
            timeout = "5s"
            memory = "1GiB"
            stack = "2MiB"
            request_body = "512B"
            concurrency = 7
            [dapr]
            mode = "sidecar"
            data = "data"
            components = "parts"
            listen = "127.0.0.1:3500"
            substitute = true
            sidecar = "https://dapr.example.com:3501"
            invoke_local = false
            quotas = { state = "2GiB", jobs = 7 }
            [package.hello]
            source = "hello.wasm"
            env = { LOG = "info", COLOUR = "blue" }
            outbound = ["https://api.example.com", "http://*.example.org:8080"]
            limits = { timeout = "1s" }
            [package.hello.dapr]
            state = ["statestore"]
            publish = ["pubsub/*"]
            subscribe = ["pubsub/orders"]
            invoke = ["*"]
            bindings = ["mailer"]
            secrets = ["store/name"]
            configuration = ["configstore"]
            lock = ["lockstore"]
            jobs = true
            quotas = { state_items = 9, jobs = 8, queue = "1MiB" }
            [[route]]
            path = "/c/{*rest}"
            host = "*.Example.com"
            methods = ["GET", "POST"]
            package = "hello"
            strip_prefix = "/c"
            "#,
        )
        .unwrap_or_else(|rejected| panic!("{rejected}"));
    let server = &config.server;
    assert_eq!(server.listen, "0.0.0.0:80".parse::<SocketAddr>().unwrap());
    assert_eq!(server.admin, "[::1]:81".parse::<SocketAddr>().unwrap());
    assert_eq!(server.workers, 3);
    assert_eq!(server.drain_timeout, Duration::from_secs(120));
    assert_eq!(server.header_timeout, Duration::from_millis(500));
    assert_eq!(server.request_head, 16 * 1024);
    assert_eq!(server.request_headers, 200);
    assert_eq!(server.cache, Path::new("/var/cache/wasmgate"));
    let dapr = &config.dapr;
    assert_eq!(dapr.mode, DaprMode::Sidecar);
    assert_eq!(dapr.data, folder.0.path().join("data"));
    assert_eq!(dapr.components, Some(folder.0.path().join("parts")));
    assert_eq!(dapr.listen, Some("127.0.0.1:3500".parse().unwrap()));
    assert!(dapr.substitute && !dapr.invoke_local);
    assert_eq!(dapr.sidecar, "https://dapr.example.com:3501");
    let [of_all, own] = [dapr.quotas, config.packages[0].grants.quotas.unwrap()];
    assert_eq!((of_all.state.bytes, of_all.jobs.items), (2 << 30, 7));
    assert_eq!((own.state.bytes, own.state.items), (2 << 30, 9));
    assert_eq!((own.queue.bytes, own.jobs.items), (1 << 20, 8));
    assert_eq!(own.published, of_all.published);
    let package = &config.packages[0];
    assert_eq!(package.name.as_str(), "hello");
    assert_eq!(
        package.source,
        Source::File(folder.0.path().join("hello.wasm"))
    );
    let env = [("COLOUR", "blue"), ("LOG", "info")].map(|(k, v)| (k.to_owned(), v.to_owned()));
    assert_eq!(package.env, env);
    assert!(package.outbound[0].allows(&Scheme::HTTPS, "API.example.com", 443));
    assert!(package.outbound[1].allows(&Scheme::HTTP, "a.b.example.org", 8080));
    let limits = Limits {
        timeout: Duration::from_secs(1),
        memory: 1 << 30,
        stack: StackSize::Two,
        request_body: 512,
        concurrency: 7,
        ..Limits::default()
    };
    assert_eq!(package.limits, limits);
    let granted: Vec<_> = package.grants.singly().collect();
    let granted: Vec<_> = granted
        .iter()
        .map(|(key, glob, _)| (*key, glob.as_str()))
        .collect();
    let written = [
        ("state", "statestore"),
        ("publish", "pubsub/*"),
        ("subscribe", "pubsub/orders"),
        ("invoke", "*"),
        ("bindings", "mailer"),
        ("secrets", "store/name"),
        ("configuration", "configstore"),
        ("lock", "lockstore"),
    ];
    assert_eq!(granted, written);
    assert!(package.grants.allows_jobs());
    let route = &config.routes[0];
    assert_eq!(route.pattern(), "*.example.com/c/{*rest}");
    assert_eq!(route.methods().unwrap().len(), 2);
    assert_eq!(route.strip_prefix(), Some("/c"));
    assert_eq!(route.package(), 0);
}

#[test]
fn relative_paths_are_relative_to_the_folder_of_the_file() {
    let config = parse(b"", Path::new("wasmgate.toml"), &Environment::default()).unwrap();
    assert_eq!(config.server.cache, Path::new(".wasmgate/cache"));
    let config = parse(
        b"",
        Path::new("/etc/w/wasmgate.toml"),
        &Environment::default(),
    )
    .unwrap();
    assert_eq!(config.server.cache, Path::new("/etc/w/.wasmgate/cache"));
}

#[test]
fn all_mistakes_come_in_one_report_in_the_order_of_the_file() {
    let text = r#"
[server]
listen = "nowhere"
wokers = 2
drain_timeout = 30
[limits]
memory = "128MB"
[package.Hello]
source = "absent.wasm"
outbound = ["api.example.com"]
[[route]]
path = "hello"
package = "helo"
"#;
    let lines: Vec<u32> = mistakes(text)
        .iter()
        .map(|m| m.place.position.unwrap().line)
        .collect();
    assert_eq!(lines, [3, 4, 5, 7, 8, 9, 10, 12, 13]);
}

#[test]
fn every_mistake_is_printed_with_its_place_key_and_help() {
    let rejected = Folder::new()
        .parse("[server]\nlisten = 1\nadmin = 2\n")
        .unwrap_err();
    let text = rejected.to_string();
    for mistake in rejected.diagnostics {
        let Position { line, column } = mistake.place.position.unwrap();
        let key = &mistake.place.key;
        assert!(text.contains(&format!("wasmgate.toml:{line}:{column}: {key}")));
        assert!(text.contains(&mistake.help));
    }
}

#[test]
fn a_column_counts_characters_and_not_bytes() {
    assert_eq!(
        mistake("package = { \"ü\" = { source = \"hello.wasm\" } }"),
        (1, 13, "package.ü".to_owned())
    );
}

#[test]
fn a_file_that_is_not_utf8_is_refused_at_the_byte() {
    let rejected = parse(
        b"[server]\nx = \"\xff\"",
        Path::new("f"),
        &Environment::default(),
    )
    .unwrap_err();
    assert_eq!(
        rejected.diagnostics.as_slice()[0].place.position,
        Some(Position { line: 2, column: 6 })
    );
}

#[test]
fn a_file_that_cannot_be_read_is_reported() {
    let folder = Folder::new();
    for path in [folder.file(), folder.0.path().to_owned()] {
        let rejected = load(&path).unwrap_err();
        assert_eq!(
            (
                rejected.diagnostics.as_slice().len(),
                rejected.diagnostics.subject()
            ),
            (1, path.as_path())
        );
    }
}

#[test]
fn every_syntax_error_is_reported_with_its_line() {
    let all = mistakes("[server]\nworkers = = 2\n[limits]\ntimeout = \"x\n");
    let lines: Vec<u32> = all.iter().map(|m| m.place.position.unwrap().line).collect();
    assert!(lines.contains(&2) && lines.contains(&4), "{all:#?}");
}

#[test]
fn a_key_that_is_there_twice_is_refused() {
    let all = mistakes(&format!("{HELLO}{HELLO}"));
    assert_eq!(all[0].place.position.unwrap().line, 3);
}

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
fn an_address_to_listen_on_is_an_address_and_a_port() {
    for text in [
        "3000",
        ":3000",
        "localhost:3000",
        "127.0.0.1",
        "127.0.0.1:70000",
        "::1:3000",
        "http://127.0.0.1:3000",
        "",
    ] {
        assert_eq!(
            mistake(&format!("[server]\nlisten = {text:?}")).2,
            "server.listen",
            "{text}"
        );
    }
}

#[test]
fn listeners_may_not_take_each_others_port() {
    assert_eq!(
        mistake("[server]\nlisten = \"127.0.0.1:9090\"").2,
        "server.listen"
    );
    assert_eq!(
        mistake("[server]\nadmin = \"0.0.0.0:3000\"").2,
        "server.admin"
    );
    assert_eq!(
        mistake("[dapr]\nlisten = \"127.0.0.1:3000\"").2,
        "dapr.listen"
    );
    accepted("[server]\nlisten = \"127.0.0.1:0\"\nadmin = \"127.0.0.1:0\"");
    accepted("[server]\nlisten = \"127.0.0.1:80\"\nadmin = \"127.0.0.2:80\"");
}

#[test]
fn a_process_beside_the_gateway_has_an_address_and_an_app_id_of_its_own() {
    let config = accepted("[dapr]\napp_address = \"127.0.0.1:6001\"");
    assert_eq!(
        config.dapr.app_address,
        Some("127.0.0.1:6001".parse().unwrap())
    );
    assert_eq!(
        mistake("[dapr]\napp_address = \"6001\"").2,
        "dapr.app_address"
    );
    assert_eq!(
        mistake(&format!(
            "{HELLO}[dapr]\napp_address = \"127.0.0.1:6001\"\napp_id = \"hello\""
        ))
        .2,
        "dapr.app_address"
    );
}

#[test]
fn an_unknown_dapr_mode_and_a_bad_sidecar_are_refused() {
    assert_eq!(mistake("[dapr]\nmode = \"Sidecar\"").2, "dapr.mode");
    for text in [
        "localhost:3500",
        "grpc://localhost",
        "http://localhost/v1.0",
        "http://a@b",
        "http://",
    ] {
        assert_eq!(
            mistake(&format!("[dapr]\nsidecar = {text:?}")).2,
            "dapr.sidecar",
            "{text}"
        );
    }
    assert_eq!(
        mistake("[dapr]\ncomponents = \"absent\"").2,
        "dapr.components"
    );
}

#[test]
fn the_environment_names_the_sidecar_unless_the_file_does() {
    let read = |text: &str, endpoint: Option<&str>, port: Option<&str>| {
        let environment = Environment {
            dapr_http_endpoint: endpoint.map(str::to_owned),
            dapr_http_port: port.map(str::to_owned),
            ..Environment::default()
        };
        parse(text.as_bytes(), Path::new("f"), &environment).map(|c| c.dapr.sidecar.to_string())
    };
    assert_eq!(
        read("", Some("https://d:1"), Some("2")).unwrap(),
        "https://d:1/"
    );
    assert_eq!(read("", None, Some("2")).unwrap(), "http://localhost:2/");
    let file = "[dapr]\nsidecar = \"http://f\"";
    assert_eq!(read(file, Some("https://d:1"), None).unwrap(), "http://f/");
    assert_eq!(
        read("", Some("nonsense"), None)
            .unwrap_err()
            .diagnostics
            .as_slice()[0]
            .place
            .position,
        None
    );
    assert_eq!(
        read("", None, Some("99999"))
            .unwrap_err()
            .diagnostics
            .as_slice()
            .len(),
        1
    );
}

#[test]
fn secrets_are_not_printed() {
    let environment = Environment {
        dapr_api_token: Some(Secret::new("hush")),
        ..Environment::default()
    };
    let config = parse(b"", Path::new("f"), &environment).unwrap();
    assert_eq!(config.dapr.api_token.as_ref().unwrap().reveal(), "hush");
    assert!(!format!("{config:?}{environment:?}").contains("hush"));
}

#[test]
fn a_package_name_is_a_dns_label() {
    let long = "a".repeat(64);
    for name in ["Counter", "a_b", "-a", "a-", "ü", "a.b", "", long.as_str()] {
        let text = format!("[package.{name:?}]\nsource = \"hello.wasm\"");
        assert_eq!(mistake(&text).2, format!("package.{name}"));
    }
    assert!(help("[package.Counter_API]\nsource = \"hello.wasm\"").contains("\"counter-api\""));
    accepted(&format!(
        "[package.{}]\nsource = \"hello.wasm\"",
        "9".repeat(63)
    ));
}

#[test]
fn a_source_is_a_file_that_is_there_and_not_empty() {
    let folder = Folder::new();
    fs::write(folder.0.path().join("empty.wasm"), b"").unwrap();
    for source in [
        "absent.wasm",
        ".",
        "empty.wasm",
        "",
        "hello.wasm/x",
        "oci://r/n@sha256:0",
        "https://r/n",
    ] {
        let rejected = folder
            .parse(&format!("[package.hello]\nsource = {source:?}"))
            .unwrap_err();
        assert_eq!(
            rejected.diagnostics.as_slice()[0].place.position,
            Some(Position {
                line: 2,
                column: 10
            }),
            "{source}"
        );
    }
    assert_eq!(
        mistake("[package.hello]"),
        (1, 1, "package.hello".to_owned())
    );
}

#[test]
fn the_environment_of_a_guest_can_be_one() {
    for name in ["", "A=B", "APP_ID", "DAPR_HTTP_ENDPOINT"] {
        let text = format!("{HELLO}env = {{ {name:?} = \"x\" }}");
        assert_eq!(mistake(&text).2, format!("package.hello.env.{name}"));
    }
}

#[test]
fn a_grant_to_a_topic_names_pubsub_and_topic() {
    for grant in ["pubsub", "/orders", "pubsub/", "", "a b/c"] {
        assert_eq!(
            mistake(&format!("{HELLO}dapr.publish = [{grant:?}]")).2,
            "package.hello.dapr.publish"
        );
    }
}

#[test]
fn no_dapr_table_is_no_dapr_and_an_empty_one_grants_nothing() {
    assert!(accepted(HELLO).packages[0].grants.is_none());
    let empty = &accepted(&format!("{HELLO}dapr = {{}}")).packages[0].grants;
    assert!(!empty.is_none() && !empty.allows_jobs());
    assert_eq!(empty.singly().count(), 0);
}

#[test]
fn a_route_to_an_unknown_package_is_refused_with_the_nearest_one() {
    let text = with_route("path = \"/\"\npackage = \"helo\"");
    assert_eq!(mistake(&text), (5, 11, "route.package".to_owned()));
    assert!(help(&text).contains("\"hello\""));
}

#[test]
fn a_route_to_a_package_that_is_wrong_itself_is_no_mistake_of_its_own() {
    let text = "[package.hello]\nsource = \"absent\"\n[[route]]\npath = \"/\"\npackage = \"hello\"";
    assert_eq!(mistake(text).2, "package.hello.source");
}

#[test]
fn a_route_has_a_path_and_a_package() {
    assert_eq!(mistakes("[[route]]").len(), 2);
}

#[test]
fn a_method_is_known_in_upper_case_and_named_once() {
    for (methods, count) in [
        ("[]", 1),
        ("[\"get\"]", 1),
        ("[\"FETCH\"]", 1),
        ("[\"GET\", \"GET\"]", 1),
        ("[\"CONNECT\", \"\"]", 2),
    ] {
        let found = mistakes(&with_route(&format!(
            "path = \"/\"\npackage = \"hello\"\nmethods = {methods}"
        )));
        assert!(found.iter().all(|m| m.place.key == "route.methods"));
        assert_eq!(found.len(), count, "{methods}");
    }
}

#[test]
fn a_prefix_to_strip_is_what_the_path_begins_with() {
    for prefix in ["/d", "/c/{id}", "c", "/", "", "/c/", "/ca", "/c/v1/x"] {
        let text = with_route(&format!(
            "path = \"/c/v1/{{id}}\"\npackage = \"hello\"\nstrip_prefix = {prefix:?}"
        ));
        assert_eq!(mistake(&text).2, "route.strip_prefix", "{prefix}");
    }
    for prefix in ["/c", "/c/v1", "/%63"] {
        accepted(&with_route(&format!(
            "path = \"/c/v1/{{id}}\"\npackage = \"hello\"\nstrip_prefix = {prefix:?}"
        )));
    }
}

#[test]
fn routes_that_collide_are_refused_at_the_later_one() {
    let route = |keys: &str| format!("[[route]]\npackage = \"hello\"\n{keys}\n");
    let text = [
        HELLO,
        &route("path = \"/a/{x}\""),
        &route("path = \"/a/{y}\"\nmethods = [\"GET\"]"),
    ]
    .concat();
    assert_eq!(mistake(&text).0, 6);
}

#[test]
fn a_route_with_a_bad_host_does_not_seem_to_collide() {
    let bad = "[[route]]\npackage = \"hello\"\npath = \"/a\"\nhost = \"http://h\"\n";
    let text = format!("{}{bad}", with_route("path = \"/a\"\npackage = \"hello\""));
    assert_eq!(mistake(&text).2, "route.host");
}

#[test]
fn the_table_has_a_line_for_every_route() {
    let text = [
        &with_route("path = \"/a/{id}\"\npackage = \"hello\"\nmethods = [\"GET\", \"POST\"]"),
        "[[route]]\npath = \"/\"\nhost = \"h.example\"\npackage = \"hello\"",
    ];
    let table = table(&accepted(&text.concat()));
    let rows: Vec<Vec<&str>> = table
        .lines()
        .map(|line| line.split_whitespace().collect())
        .collect();
    assert_eq!(rows[0], ["METHODS", "HOST", "PATH", "PACKAGE"]);
    assert_eq!(rows[1], ["GET,POST", "*", "/a/{id}", "hello"]);
    assert_eq!(rows[2], ["*", "h.example", "/", "hello"]);
}

#[test]
fn what_is_found_later_is_reported_at_its_place() {
    let config = accepted(&format!("{HELLO}[server]\nlisten = \"127.0.0.1:80\""));
    let wrong = || Diagnostic::new(Code::InvalidValue, "message", "help");
    assert_eq!(
        config.at_key("server.listen", wrong()).place.position,
        Some(Position {
            line: 4,
            column: 10
        })
    );
    assert_eq!(config.at_key("server.admin", wrong()).place.position, None);
    let source = config.at_source(&config.packages[0], wrong());
    assert_eq!(
        (source.place.position, source.place.key.as_str()),
        (
            Some(Position {
                line: 2,
                column: 10
            }),
            "package.hello.source"
        )
    );
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

#[test]
fn a_list_of_authorities_without_any_is_a_mistake_of_the_environment() {
    let folder = Folder::new();
    let environment = Environment {
        ssl_cert_file: Some(folder.0.path().join("hello.wasm")),
        ..Environment::default()
    };
    let rejected = parse(HELLO.as_bytes(), &folder.file(), &environment).unwrap_err();
    let [mistake] = rejected.diagnostics.as_slice() else {
        panic!("{rejected}");
    };
    assert_eq!(mistake.place.key, "environment variable SSL_CERT_FILE");
}

#[test]
fn each_kind_of_mistake_has_a_code_for_tools() {
    for (text, code) in [
        ("[server", Code::Syntax),
        ("[server]\nlisen = 1", Code::UnknownKey),
        ("[package.hello]", Code::MissingKey),
        ("[server]\nworkers = \"two\"", Code::WrongType),
        ("[server]\nworkers = 5000", Code::OutOfRange),
        ("[limits]\ntimeout = \"30 parsecs\"", Code::InvalidValue),
        ("[dapr]\nmode = \"cloud\"", Code::UnknownName),
        ("[dapr]\ncomponents = \"nowhere\"", Code::FileMissing),
        ("[server]\nadmin = \"127.0.0.1:3000\"", Code::Conflict),
        (
            &with_route("path = \"/{a}/{a}\"\npackage = \"hello\""),
            Code::Duplicate,
        ),
        (
            "[package.hello]\nsource = \"https://example.com/n.wasm\"",
            Code::Unsupported,
        ),
    ] {
        let all = mistakes(text);
        assert_eq!(all.len(), 1, "{all:#?}");
        assert_eq!(all[0].code, code, "{text}");
    }
}

#[test]
fn a_token_that_no_header_can_carry_is_a_mistake_and_is_not_shown() {
    for token in ["hush\n", "hush\u{7f}"] {
        let environment = Environment {
            dapr_api_token: Some(Secret::new(token)),
            app_api_token: Some(Secret::new(token)),
            ..Environment::default()
        };
        let rejected = parse(b"", Path::new("f"), &environment).unwrap_err();
        let told = rejected.to_string();
        assert_eq!(rejected.diagnostics.as_slice().len(), 2, "{told}");
        assert!(told.contains("DAPR_API_TOKEN") && told.contains("APP_API_TOKEN"));
        assert!(!told.contains("hush"), "{told}");
    }
}

#[test]
fn a_second_file_lies_over_the_first_and_its_mistakes_have_its_places() {
    let folder = Folder::new();
    let production = folder.0.path().join("production.toml");
    fs::write(
        folder.file(),
        "[server]\nlisten = \"127.0.0.1:1\"\nworkers = 3\n[package.hello]\nsource = \"hello.wasm\"\n\
         env = { A = \"1\", B = \"1\" }\n[[route]]\npath = \"/a\"\npackage = \"hello\"\n",
    )
    .unwrap();
    let input = Input {
        with: vec![production.clone()],
        ..Input::new(folder.file())
    };
    let over = |text: &str| {
        fs::write(&production, text).unwrap();
        input.load()
    };
    let config = over(
        "[server]\nlisten = \"127.0.0.1:2\"\n[package.hello]\nenv.B = \"2\"\n[[route]]\npath = \"/b\"\npackage = \"hello\"\n",
    )
    .unwrap();
    assert_eq!((config.server.listen.port(), config.server.workers), (2, 3));
    let env = &config.packages.first().unwrap().env;
    assert_eq!(
        env[..],
        [("A".into(), "1".into()), ("B".into(), "2".into())]
    );
    let routes: Vec<&str> = config.routes.iter().map(Route::pattern).collect();
    assert_eq!(routes, ["/b"], "a list is replaced");

    let told = over("\n[server]\nlisen = \"127.0.0.1:2\"\nworkers = \"x\"\n")
        .unwrap_err()
        .to_string();
    assert!(told.contains("production.toml:3:1: server.lisen"), "{told}");
    assert!(
        told.contains("production.toml:4:11: server.workers"),
        "{told}"
    );
    let told = over("[server\n").unwrap_err().to_string();
    assert!(told.contains("production.toml:1:"), "{told}");
    // What is wrong below is told at its own place, however long the upper file is.
    let config = over("# nothing but a comment\n").unwrap();
    let told = config.at_source(
        config.packages.first().unwrap(),
        Diagnostic::new(Code::Syntax, "bad", "mend"),
    );
    assert!(
        told.to_string()
            .contains("wasmgate.toml:5:10: package.hello.source"),
        "{told}"
    );
}

#[test]
fn variables_are_filled_from_the_command_line_the_files_and_the_environment_in_this_order() {
    let folder = Folder::new();
    let file = folder.0.path().join("a.env");
    fs::write(&file, "WASMGATE_T_A=file\nWASMGATE_T_B=file\n").unwrap();
    fs::write(
        folder.file(),
        "[package.hello]\nsource = \"${WASMGATE_T_NAME:-hello}.wasm\"\n\
         env = { A = \"${WASMGATE_T_A}\", B = \"${WASMGATE_T_B}\", P = \"${PATH}\", C = \"$${C}\" }\n",
    )
    .unwrap();
    let input = Input {
        env_files: vec![file],
        variables: Variables::new([("WASMGATE_T_A".to_owned(), "given".to_owned())].into()),
        ..Input::new(folder.file())
    };
    let config = input.load().unwrap();
    let path = std::env::var("PATH").unwrap();
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    // Nothing but what the file names comes to a guest.
    let right = [
        pair("A", "given"),
        pair("B", "file"),
        pair("C", "${C}"),
        pair("P", &path),
    ];
    assert_eq!(config.packages.first().unwrap().env[..], right);
}

#[test]
fn a_variable_that_is_missing_is_told_with_its_place_and_one_that_is_there_never_by_its_value() {
    let folder = Folder::new();
    let text = "[server]\nlisten = \"${SECRET}\"\nadmin = \"${MISSING}\"\n";
    let environment = Environment {
        variables: Variables::new([("SECRET".to_owned(), "hunter \"2\"".to_owned())].into()),
        ..Environment::default()
    };
    let told = parse(text.as_bytes(), &folder.file(), &environment)
        .unwrap_err()
        .to_string();
    assert!(
        told.contains("wasmgate.toml:3:9: server.admin: the variable MISSING is not set"),
        "{told}"
    );
    let text = text.replace("${MISSING}", "127.0.0.1:0");
    let told = parse(text.as_bytes(), &folder.file(), &environment)
        .unwrap_err()
        .to_string();
    assert!(told.contains("${SECRET}"), "{told}");
    assert!(!told.contains("hunter"), "{told}");
}

#[test]
fn a_text_without_quotes_is_told_in_plain_words() {
    for (line, words) in [
        ("listen = 127.0.0.1:3000 # all", "write \"127.0.0.1:3000\""),
        ("drain_timeout = 30s", "write \"30s\""),
        ("workers = two", "write \"two\""),
        ("workers = True", "write true"),
    ] {
        let told = Folder::new()
            .parse(&format!("[server]\n{line}\n"))
            .unwrap_err()
            .to_string();
        assert!(told.contains(words), "{told}");
        for word in ["float", "literal", "expected"] {
            assert!(!told.contains(word), "{told}");
        }
    }
}

#[test]
fn the_wildcards_of_other_routers_are_answered_with_those_here() {
    for (path, meant) in [
        ("/orders/:id", "/orders/{id}"),
        ("/:user/:id", "/{user}/{id}"),
        ("/a/*", "/a/{*rest}"),
        ("/a/*path", "/a/{*path}"),
        ("/a/:path*", "/a/{*path}"),
        ("/a/...", "/a/{*rest}"),
        ("/a/<int:id>", "/a/{id}"),
        ("/a/[...slug]", "/a/{*slug}"),
        ("/a/[id]/b", "/a/{id}/b"),
    ] {
        let told = PathPattern::parse(path).unwrap_err().to_string();
        assert!(told.contains(&format!("did you mean {meant:?}")), "{told}");
    }
    for path in ["/v1/orders:cancel", "/a*b", "/%3Aid", "/a/{id}"] {
        assert!(PathPattern::parse(path).is_ok(), "{path}");
    }
}
