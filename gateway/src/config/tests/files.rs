//! What is read: defaults, every key, files over files, variables.

use super::*;

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
