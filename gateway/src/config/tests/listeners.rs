//! Addresses, the sidecar, and what the environment says.

use super::*;

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
fn a_token_that_no_header_can_carry_is_a_mistake_and_is_not_shown() {
    for token in ["hush\n", "hush\u{7f}"] {
        let environment = Environment {
            dapr_api_token: Some(Secret::new(token)),
            app_api_token: Some(Secret::new(token)),
            admin_token: Some(Secret::new(token)),
            ..Environment::default()
        };
        let rejected = parse(b"", Path::new("f"), &environment).unwrap_err();
        let told = rejected.to_string();
        assert_eq!(rejected.diagnostics.as_slice().len(), 3, "{told}");
        assert!(told.contains("DAPR_API_TOKEN") && told.contains("APP_API_TOKEN"));
        assert!(told.contains("WASMGATE_ADMIN_TOKEN"), "{told}");
        assert!(!told.contains("hush"), "{told}");
    }
}

#[test]
fn a_proxy_whose_port_is_none_is_a_mistake_of_the_environment() {
    for (url, is_right) in [
        ("http://p:3128", true),
        ("http://p:99999", false),
        ("http://p:0", false),
    ] {
        let environment = Environment {
            http_proxy: Some(("HTTP_PROXY", Secret::new(url))),
            ..Environment::default()
        };
        let told = parse(b"", Path::new("f"), &environment).map_err(|rejected| rejected.to_string());
        let is_told = told.is_err_and(|told| told.contains("HTTP_PROXY: this has a port that is none"));
        assert_eq!(is_told, !is_right, "{url}");
    }
}
