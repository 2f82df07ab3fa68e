//! What handlers may return, and what becomes of it.

use std::error::Error as StdError;

use http::{HeaderMap, HeaderValue};
use wasmgate_sdk::{
    Bytes, Error, Html, Json, Redirect, Request, Response, Router, SetCookie, StatusCode, client,
    testing::{Reply, call},
};

fn answer(app: Router) -> Reply {
    call(&app, Request::get("/"))
}

macro_rules! answers {
    ($value:expr) => {
        answer(Router::new().get("/", move |_| $value))
    };
}

#[test]
fn values_are_answers_of_their_kind() {
    let kind = |reply: &Reply| reply.header("content-type").map(str::to_owned);
    for (reply, status, content_type, text) in [
        (
            answers!("text"),
            200,
            Some("text/plain; charset=utf-8"),
            "text",
        ),
        (
            answers!(String::from("text")),
            200,
            Some("text/plain; charset=utf-8"),
            "text",
        ),
        (
            answers!(Html("<p>")),
            200,
            Some("text/html; charset=utf-8"),
            "<p>",
        ),
        (
            answers!(Json([1, 2])),
            200,
            Some("application/json"),
            "[1,2]",
        ),
        (answers!(b"b"), 200, Some("application/octet-stream"), "b"),
        (
            answers!(vec![b'b']),
            200,
            Some("application/octet-stream"),
            "b",
        ),
        (
            answers!(Bytes::from_static(b"b")),
            200,
            Some("application/octet-stream"),
            "b",
        ),
        (answers!(()), 204, None, ""),
        (answers!(StatusCode::ACCEPTED), 202, None, ""),
        (
            answers!((StatusCode::CREATED, Json("x"))),
            201,
            Some("application/json"),
            "\"x\"",
        ),
        (
            answers!(Some("there")),
            200,
            Some("text/plain; charset=utf-8"),
            "there",
        ),
        (
            answers!(Ok::<_, Error>(Some((StatusCode::CREATED, "x")))),
            201,
            Some("text/plain; charset=utf-8"),
            "x",
        ),
    ] {
        assert_eq!(
            (
                reply.status().as_u16(),
                kind(&reply).as_deref(),
                reply.text()
            ),
            (status, content_type, text)
        );
    }
    assert_eq!(answers!(None::<&str>).status(), 404);
    let moved = answers!(Redirect::permanent("/new"));
    assert_eq!(
        (moved.status().as_u16(), moved.header("location")),
        (308, Some("/new"))
    );
}

#[test]
fn headers_in_a_tuple_replace_and_cookies_add() {
    let reply = answers!((
        StatusCode::OK,
        [("content-type", "text/csv"), ("x-a", "1")],
        (SetCookie::new("a", "1"), (SetCookie::new("b", "2"), "a,b"))
    ));
    assert_eq!(reply.header("content-type"), Some("text/csv"));
    assert_eq!(reply.headers().get_all("set-cookie").iter().count(), 2);
    let mut headers = HeaderMap::new();
    headers.insert("x-b", HeaderValue::from_static("2"));
    assert_eq!(answers!((headers.clone(), "text")).header("x-b"), Some("2"));
}

#[test]
fn what_http_cannot_carry_is_500_and_never_half_an_answer() {
    for reply in [
        answers!(([("x-a", "line\nend")], "text")),
        answers!(Response::text("x").with_header("x a", "1")),
        answers!(Response::new(42)),
        answers!(Redirect::to("/a\r\nx: y")),
    ] {
        assert_eq!(reply.status(), 500);
        assert_eq!(reply.header("x-a"), None);
    }
}

#[derive(Debug, thiserror::Error)]
#[error("hunter2")]
struct Secret;

#[test]
fn opaque_errors_are_answered_with_500_and_keep_their_words_inside() {
    fn anyhow() -> anyhow::Result<&'static str> {
        Err(anyhow::Error::new(Secret).context("while trying"))
    }
    fn boxed() -> Result<&'static str, Box<dyn StdError>> {
        Err(Box::new(Secret))
    }
    async fn sendable(_: Request) -> Result<&'static str, Box<dyn StdError + Send + Sync>> {
        Err("hunter2".into())
    }
    for reply in [
        answers!(anyhow()),
        answers!(boxed()),
        answer(Router::new().get("/", sendable)),
    ] {
        assert_eq!(reply.status(), 500);
        assert!(!reply.text().contains("hunter2"));
    }
}

#[test]
fn an_error_keeps_its_answer_on_the_way_through_another_kind() {
    fn gone() -> Result<(), Error> {
        Err(Error::new(410, "drunk")
            .with("cup", 7)
            .with_header("x-a", "1"))
    }
    fn in_anyhow() -> anyhow::Result<()> {
        use anyhow::Context;
        let inner = || -> anyhow::Result<()> { Ok(gone()?) };
        inner().context("while pouring")
    }
    fn boxed() -> Result<(), Box<dyn StdError>> {
        Ok(gone()?)
    }
    for reply in [answers!(in_anyhow()), answers!(boxed())] {
        assert_eq!(
            (reply.status().as_u16(), reply.header("x-a")),
            (410, Some("1"))
        );
        assert_eq!(reply.json::<serde_json::Value>()["cup"], 7);
    }
    let timed_out = || -> anyhow::Result<()> { Err(client::Error::Timeout.into()) };
    assert_eq!(answers!(timed_out()).status(), 504);
    let boxed = || -> Result<(), Box<dyn StdError>> { Err(client::Error::Timeout.into()) };
    assert_eq!(answers!(boxed()).status(), 504);
}
