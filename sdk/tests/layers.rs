//! Tables within tables, layers, files and what clients may keep of an answer.

use wasmgate_sdk::{
    Method, Next, Request, Response, Router, StatusCode, files,
    layer::{self, Cors},
    testing::{Reply, call},
};

fn named(name: &'static str) -> impl Fn(Request, Next) -> wasmgate_sdk::Answer {
    move |request, next| {
        next.run(request)
            .map(move |response| response.with_header_too("x-layer", name))
    }
}

fn layers(reply: &Reply) -> Vec<String> {
    let values = reply.headers().get_all("x-layer").iter();
    values
        .filter_map(|value| value.to_str().ok().map(str::to_owned))
        .collect()
}

#[test]
fn layers_are_around_what_was_there_before_them_and_the_last_is_the_outermost() {
    let app = Router::new()
        .get("/in", |_| async { "in" })
        .layer(named("inner"))
        .get("/late", |_| "late")
        .layer(named("outer"));
    assert_eq!(layers(&call(&app, Request::get("/in"))), ["inner", "outer"]);
    assert_eq!(layers(&call(&app, Request::get("/late"))), ["outer"]);
    let missing = call(&app, Request::get("/none"));
    assert_eq!(
        (missing.status().as_u16(), layers(&missing)),
        (404, vec!["inner".to_owned(), "outer".to_owned()])
    );
    let refused = call(&app, Request::put("/in"));
    assert_eq!(
        (refused.status().as_u16(), refused.header("allow")),
        (405, Some("GET, HEAD"))
    );
}

#[test]
fn a_nested_table_keeps_its_layers_fallback_and_refusals_below_its_prefix() {
    let inner = Router::new()
        .get("/", |_| "root")
        .get("/{id}", |request| {
            request.param("id").unwrap_or_default().into_owned()
        })
        .fallback(|_| (StatusCode::IM_A_TEAPOT, "inner"))
        .layer(named("inner"));
    let app = Router::new()
        .get("/", |_| "home")
        .nest("/a/", inner)
        .fallback(|_| "outer");
    let text = |path: &str| call(&app, Request::get(path)).text().to_owned();
    assert_eq!(
        [text("/"), text("/a"), text("/a/7"), text("/b")],
        ["home", "root", "7", "outer"]
    );
    let below = call(&app, Request::get("/a/7/8"));
    assert_eq!(
        (below.status().as_u16(), layers(&below)),
        (418, vec!["inner".to_owned()])
    );
    let refused = call(&app, Request::put("/a/7"));
    assert_eq!(
        (refused.status().as_u16(), refused.header("allow")),
        (405, Some("GET, HEAD"))
    );
    assert_eq!(layers(&refused), ["inner"]);
}

#[test]
fn a_preflight_is_answered_for_named_origins_also_in_a_nested_table() {
    let cors = Cors::origins(["https://a.example"])
        .headers("content-type")
        .with_credentials();
    let api = Router::new().put("/cup", |_| "filled").layer(cors.layer());
    let app = Router::new().nest("/api", api);
    let ask = |origin: &str| {
        let request = Request::with_method(Method::OPTIONS, "/api/cup").with_header("origin", origin);
        call(
            &app,
            request.with_header("access-control-request-method", "PUT"),
        )
    };
    let allowed = ask("https://a.example");
    assert_eq!(
        (
            allowed.status().as_u16(),
            allowed.header("access-control-allow-origin")
        ),
        (204, Some("https://a.example"))
    );
    assert_eq!(
        allowed.header("access-control-allow-headers"),
        Some("content-type")
    );
    assert_eq!(
        allowed.header("access-control-allow-credentials"),
        Some("true")
    );
    let refused = ask("https://b.example");
    assert_eq!(refused.header("access-control-allow-origin"), None);
    assert_eq!(refused.header("access-control-allow-methods"), None);
    assert_eq!(refused.header("vary"), Some("origin"));
    let any = Router::new()
        .get("/", |_| "")
        .layer(Cors::any().with_credentials().layer());
    let reply = call(
        &any,
        Request::get("/").with_header("origin", "https://b.example"),
    );
    assert_eq!(reply.header("access-control-allow-origin"), Some("*"));
    assert_eq!(reply.header("access-control-allow-credentials"), None);
}

#[test]
fn a_body_beyond_a_layers_limit_is_413_said_or_not() {
    let app = Router::new()
        .post(
            "/",
            |mut request: Request| async move { request.bytes().await },
        )
        .layer(layer::body_limit(3));
    let post = |body: &str| Request::post("/").with_body(body);
    assert_eq!(call(&app, post("abc")).status(), 200);
    assert_eq!(call(&app, post("abcd")).status(), 413);
    assert_eq!(
        call(&app, Request::post("/").with_header("content-length", "4")).status(),
        413
    );
}

#[test]
fn what_a_client_has_is_304_and_a_range_is_a_part() {
    let app = Router::new()
        .get("/", |_| "0123456789")
        .post("/", |_| "posted")
        .get("/stream", |_| {
            Response::stream(|mut body| async move { Ok(body.write("x").await?) })
        })
        .layer(layer::caching());
    let first = call(&app, Request::get("/"));
    let etag = first.header("etag").unwrap().to_owned();
    let get = |name: &'static str, value: &str| call(&app, Request::get("/").with_header(name, value));
    for known in [etag.clone(), format!("\"x,\", W/{etag}"), "*".to_owned()] {
        let reply = get("if-none-match", &known);
        assert_eq!(
            (reply.status().as_u16(), reply.text()),
            (304, ""),
            "{known}"
        );
        assert_eq!(reply.header("etag"), Some(etag.as_str()));
        assert_eq!(reply.header("content-type"), None);
    }
    assert_eq!(get("if-none-match", "\"other\"").text(), "0123456789");
    for (range, part, said) in [
        ("bytes=0-0", "0", "bytes 0-0/10"),
        ("bytes=7-", "789", "bytes 7-9/10"),
        ("bytes=-2", "89", "bytes 8-9/10"),
        ("bytes=8-99", "89", "bytes 8-9/10"),
        ("bytes=-99", "0123456789", "bytes 0-9/10"),
    ] {
        let reply = get("range", range);
        assert_eq!(
            (reply.status().as_u16(), reply.text()),
            (206, part),
            "{range}"
        );
        assert_eq!(reply.header("content-range"), Some(said));
    }
    for range in ["bytes=10-", "bytes=99-100", "bytes=-0"] {
        let reply = get("range", range);
        assert_eq!(
            (reply.status().as_u16(), reply.header("content-range")),
            (416, Some("bytes */10")),
            "{range}"
        );
    }
    for range in [
        "bytes=5-2",
        "bytes=0-1,3-4",
        "lines=0-1",
        "bytes=a-b",
        "bytes=0-99999999999999999999",
    ] {
        assert_eq!(get("range", range).status(), 200, "{range}");
    }
    let partial = |condition: &str| {
        let request = Request::get("/").with_header("range", "bytes=0-0");
        call(&app, request.with_header("if-range", condition)).status()
    };
    assert_eq!(
        (partial(&etag).as_u16(), partial("\"old\"").as_u16()),
        (206, 200)
    );
    assert_eq!(call(&app, Request::post("/")).header("etag"), None);
    assert_eq!(call(&app, Request::get("/stream")).header("etag"), None);
    let head = call(&app, Request::head("/").with_header("range", "bytes=0-0"));
    assert_eq!(
        (head.status().as_u16(), head.header("content-length")),
        (200, Some("10"))
    );
}

#[test]
fn a_folder_of_files_is_served_with_types_tags_and_its_index() {
    let app = Router::new().files("/site", files!("tests/site"));
    let get = |path: &str| call(&app, Request::get(path));
    let page = get("/site");
    assert_eq!(
        (page.status().as_u16(), page.header("content-type")),
        (200, Some("text/html; charset=utf-8"))
    );
    for path in ["/site/", "/site/index.html"] {
        assert_eq!(get(path).bytes(), page.bytes(), "{path}");
    }
    let style = get("/site/css/a%20b.css");
    assert_eq!(
        style.header("content-type"),
        Some("text/css; charset=utf-8")
    );
    let known = Request::get("/site/css/a%20b.css").with_header("if-none-match", style.header("etag").unwrap());
    assert_eq!(call(&app, known).status(), 304);
    for path in [
        "/site/none",
        "/site/css",
        "/site/../Cargo.toml",
        "/site/%2e%2e/Cargo.toml",
        "/site/.hidden",
    ] {
        assert_eq!(get(path).status(), 404, "{path}");
    }
    let head = call(&app, Request::head("/site"));
    assert_eq!(head.header("content-length"), page.header("content-length"));
    let post = call(&app, Request::post("/site"));
    assert_eq!(
        (post.status().as_u16(), post.header("allow")),
        (405, Some("GET, HEAD"))
    );
    assert_eq!(call(&app, Request::post("/site/none")).status(), 404);
}

#[test]
fn an_answer_to_head_may_state_a_length_that_it_does_not_send() {
    let app = Router::new().route(Method::HEAD, "/film", |_| {
        Response::new(200).with_header("content-length", 7_000_000_000_u64)
    });
    assert_eq!(
        call(&app, Request::head("/film")).header("content-length"),
        Some("7000000000")
    );
}
