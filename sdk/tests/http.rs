//! What a package's client sees, through the public surface only.

use std::{cell::Cell, rc::Rc, time::Duration};

use serde_json::{Value, json};
use wasmgate_sdk::{
    BodyError, Error, Event, Method, Request, Response, Router, StatusCode, client,
    testing::{self, call},
    time,
};

#[derive(Debug, thiserror::Error)]
#[error("the password is hunter2")]
struct Secret;

fn app() -> Router {
    let param = |request: &Request, name| request.param(name).map(|value| value.into_owned());
    Router::new()
        .get("/a/{x}", move |request| {
            format!("param {:?}", param(&request, "x"))
        })
        .get("/a/{*rest}", move |request| {
            format!("rest {:?}", param(&request, "rest"))
        })
        .get("/a/b", |_| "static")
        .post("/a/b", |_| Response::new(201))
        .delete("/a/b", |_| ())
        .any("/any", |request| request.method().to_string())
        .get("/head", |_| "from GET")
        .route(Method::HEAD, "/head", |_| {
            Response::new(200).with_header("x-own", "1")
        })
        .get("/secret", |_| Err::<Response, _>(Secret))
        .post("/echo", |mut request: Request| async move {
            let mut body = request.take_body();
            Response::stream(|mut writer| async move { Ok(writer.copy(&mut body).await?) })
        })
        .post("/text", |mut request: Request| async move {
            request.limit_body(4);
            request.text().await
        })
}

#[test]
fn the_most_specific_route_wins_whatever_the_order() {
    for (path, text) in [
        ("/a/b", "static"),
        ("/a/c", "param Some(\"c\")"),
        ("/a/c%20d?x=/1", "param Some(\"c d\")"),
        ("/a/b/c", "rest Some(\"b/c\")"),
        ("/a/", "rest Some(\"\")"),
    ] {
        assert_eq!(call(&app(), Request::get(path)).text(), text, "{path}");
    }
}

#[test]
fn an_unknown_path_is_404_and_an_unknown_method_405_with_what_is_allowed() {
    let reply = call(&app(), Request::get("/b"));
    assert_eq!(
        (reply.status().as_u16(), reply.header("allow")),
        (404, None)
    );
    assert_eq!(reply.json::<Value>()["title"], "Not Found");

    let reply = call(&app(), Request::put("/a/b"));
    assert_eq!(
        (reply.status().as_u16(), reply.header("allow")),
        (405, Some("GET, HEAD, POST, DELETE"))
    );
    assert_eq!(
        reply.header("content-type"),
        Some("application/problem+json")
    );
}

#[test]
fn a_method_without_a_route_here_falls_to_a_less_specific_pattern() {
    let app = Router::new()
        .get("/a/b", |_| "narrow")
        .put("/a/{x}", |_| "wide");
    assert_eq!(call(&app, Request::put("/a/b")).text(), "wide");
}

#[test]
fn head_gets_the_headers_of_get_and_no_body() {
    let reply = call(&app(), Request::head("/a/b"));
    assert_eq!((reply.status().as_u16(), reply.bytes()), (200, &b""[..]));
    assert_eq!(reply.header("content-length"), Some("6"));
    assert_eq!(
        call(&app(), Request::head("/head")).header("x-own"),
        Some("1")
    );
}

#[test]
fn any_takes_every_method() {
    assert_eq!(
        call(
            &app(),
            Request::with_method(Method::from_bytes(b"PURGE").unwrap(), "/any")
        )
        .text(),
        "PURGE"
    );
}

#[test]
fn an_empty_answer_says_so_and_204_has_no_length() {
    let created = call(&app(), Request::post("/a/b"));
    assert_eq!(
        (created.status().as_u16(), created.header("content-length")),
        (201, Some("0"))
    );
    let deleted = call(&app(), Request::delete("/a/b"));
    assert_eq!(
        (deleted.status().as_u16(), deleted.header("content-length")),
        (204, None)
    );
}

#[test]
fn an_error_of_the_program_is_500_and_its_message_stays_inside() {
    let reply = call(&app(), Request::get("/secret"));
    assert_eq!(reply.status(), 500);
    assert!(!reply.text().contains("hunter2"), "{}", reply.text());
}

#[test]
fn an_error_made_for_the_client_is_its_problem_document() {
    let app = Router::new().get("/", |_| {
        let error = Error::new(429, "one \"order\" a minute")
            .with_type("https://shop.example/limits")
            .with("left", json!({"orders": 0}))
            .with_header("retry-after", "60");
        Err::<Response, _>(error)
    });
    let reply = call(&app, Request::get("/"));
    assert_eq!(
        (reply.status().as_u16(), reply.header("retry-after")),
        (429, Some("60"))
    );
    let expected = json!({
        "type": "https://shop.example/limits", "title": "Too Many Requests", "status": 429,
        "detail": "one \"order\" a minute", "left": {"orders": 0},
    });
    assert_eq!(reply.json::<Value>(), expected);
}

#[test]
fn a_body_streams_through_in_the_pieces_it_came_in() {
    let request = Request::post("/echo")
        .with_body("one")
        .with_body("")
        .with_body("two");
    let reply = call(&app(), request);
    assert_eq!(reply.chunks(), [b"one", b"two"]);
    assert_eq!(reply.header("content-length"), None);
}

#[test]
fn a_body_beyond_the_limit_is_413_and_one_that_is_not_text_400() {
    let post = |body: &[u8]| call(&app(), Request::post("/text").with_body(body));
    assert_eq!(post(b"four").text(), "four");
    assert_eq!(post(b"fives").status(), 413);
    assert_eq!(post(b"\xff").status(), 400);
}

#[test]
fn a_body_can_be_taken_once() {
    let app = Router::new().post("/", |mut request: Request| async move {
        request.bytes().await?;
        Ok::<_, Error>(request.bytes().await?.len().to_string())
    });
    assert_eq!(call(&app, Request::post("/").with_body("gone")).text(), "0");
}

#[test]
fn events_cannot_smuggle_fields_or_other_events() {
    let app = Router::new().get("/", |_| {
        Response::events(|mut events| async move {
            events
                .send(Event::data("a\n\ndata: b\rc").name("x\ndata: y"))
                .await?;
            events.keep_alive().await?;
            events
                .send(Event::json(&json!({"n": 1}))?.retry(Duration::from_secs(2)))
                .await?;
            Ok(())
        })
    });
    let reply = call(&app, Request::get("/"));
    assert_eq!(reply.header("content-type"), Some("text/event-stream"));
    assert_eq!(reply.header("cache-control"), Some("no-cache"));
    let first = "event: x data: y\ndata: a\ndata: \ndata: data: b\ndata: c\n\n";
    let expected = [first, ":\n\n", "retry: 2000\ndata: {\"n\":1}\n\n"].map(str::as_bytes);
    assert_eq!(reply.chunks(), expected);
}

#[test]
fn a_call_outward_carries_method_headers_and_body_both_ways() {
    let _outside = testing::outbound(|mut request| {
        assert_eq!(request.method(), &Method::PUT);
        assert_eq!(request.authority().as_deref(), Some("store:8080"));
        assert_eq!((request.path(), request.query_string()), ("/v1/k", "ttl=5"));
        assert_eq!(request.header("content-type"), Some("application/json"));
        let body: Value = testing::block_on(request.json()).unwrap();
        Ok(Response::json(&body["n"])
            .with_status(202)
            .with_header("etag", "7"))
    });
    let (status, etag, n) = testing::block_on(async {
        let call = client::put("http://store:8080/v1/k?ttl=5").json(&json!({"n": 3}));
        let response = call.send().await.unwrap();
        let etag = response.header("etag").map(str::to_owned);
        (
            response.status().as_u16(),
            etag,
            response.json::<u8>().await.unwrap(),
        )
    });
    assert_eq!((status, etag.as_deref(), n), (202, Some("7"), 3));
}

#[test]
fn a_call_outward_streams_its_body_and_trailers_both_ways() {
    let echo = Router::new().post("/", |mut request: Request| async move {
        let mut body = request.take_body();
        Response::stream(|mut writer| async move {
            writer.copy(&mut body).await?;
            for (name, value) in body.trailers().await?.iter() {
                writer.trailer(name, value);
            }
            Ok(())
        })
    });
    let _outside = testing::outbound(move |request| testing::respond(&echo, request));
    testing::block_on(async {
        let call = client::post("http://echo").stream(|mut body| async move {
            body.write("a").await?;
            body.write("b").await?;
            body.trailer("x-sum", "2");
            Ok(())
        });
        let mut body = call.send().await.unwrap().into_body();
        assert_eq!(body.chunk().await.unwrap().unwrap(), b"a");
        assert_eq!(body.chunk().await.unwrap().unwrap(), b"b");
        assert_eq!(body.chunk().await.unwrap(), None);
        assert_eq!(body.trailers().await.unwrap()["x-sum"], "2");
    });
}

#[test]
fn calls_outward_that_fail_become_gateway_errors() {
    fn app() -> Router {
        Router::new().get("/", |_| async {
            client::get("http://other/")
                .send()
                .await?
                .error_for_status()?;
            Ok::<_, client::Error>(())
        })
    }
    assert_eq!(
        call(&app(), Request::get("/")).status(),
        502,
        "refused when nothing is said"
    );
    fn status_after(answer: fn() -> Result<Response, client::Error>) -> StatusCode {
        let _outside = testing::outbound(move |_| answer());
        call(&app(), Request::get("/")).status()
    }
    assert_eq!(status_after(|| Err(client::Error::Timeout)), 504);
    assert_eq!(status_after(|| Ok(Response::new(404))), 502);
    assert_eq!(status_after(|| Ok(Response::new(302))), 204);
}

#[test]
fn an_answer_beyond_the_limit_is_an_error() {
    let _outside = testing::outbound(|_| Ok(Response::text("12345")));
    let read = |limit| {
        testing::block_on(async {
            client::get("http://a")
                .send()
                .await?
                .limit_body(limit)
                .text()
                .await
        })
    };
    assert_eq!(read(5).unwrap(), "12345");
    let error = read(4).unwrap_err();
    assert!(
        matches!(error, client::Error::Body(BodyError::TooLarge { limit: 4 })),
        "{error}"
    );
}

#[test]
fn sleeping_lets_others_go_first_and_takes_no_time_under_test() {
    let woken = Rc::new(Cell::new(false));
    let seen = Rc::clone(&woken);
    testing::block_on(async {
        let sleeper = async {
            time::sleep(Duration::from_secs(3600)).await;
            seen.get()
        };
        let mut sleeper = std::pin::pin!(sleeper);
        let first = std::future::poll_fn(|context| std::task::Poll::Ready(sleeper.as_mut().poll(context).is_pending()));
        assert!(first.await, "a sleeper waits at least once");
        woken.set(true);
        assert!(sleeper.await);
    });
}

#[test]
#[should_panic(expected = "/x{a}")]
fn a_wrong_pattern_fails_the_test_that_calls_it() {
    call(&Router::new().get("/x{a}", |_| ""), Request::get("/"));
}

#[test]
fn a_call_that_most_often_has_a_body_says_when_it_has_none() {
    let _outside = testing::outbound(|request| {
        let length = request.header("content-length").unwrap_or("not said");
        Ok(Response::text(length.to_owned()))
    });
    let ask = |call: client::Call| testing::block_on(async { call.send().await?.text().await }).unwrap();
    let url = "http://a";
    for call in [
        client::post(url),
        client::put(url),
        client::patch(url),
        client::post(url).body(""),
    ] {
        assert_eq!(ask(call), "0");
    }
    for call in [
        client::get(url),
        client::delete(url),
        client::request(Method::HEAD, url),
    ] {
        assert_eq!(ask(call), "not said");
    }
    assert_eq!(ask(client::post(url).body("four")), "4");
    let piece = client::put(url).stream(|mut body| async move { Ok(body.write("a").await?) });
    assert_eq!(ask(piece), "not said");
}
