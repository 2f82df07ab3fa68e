//! Reading requests as types, and how what does not fit is named.

use serde::Deserialize;
use serde_json::Value;
use wasmgate_sdk::{
    Error, Request, Router,
    testing::{Reply, call},
};

#[derive(Deserialize)]
struct Order {
    #[serde(default)]
    cup: Vec<u8>,
    drink: String,
}

fn app() -> Router {
    Router::new()
        .get("/{table}/{seat}", |request: Request| {
            let (table, seat): (String, u8) = request.params()?;
            Ok::<_, Error>(format!("{table} {seat}"))
        })
        .get("/{seat}", |request: Request| {
            Ok::<_, Error>(request.params::<u8>()?.to_string())
        })
        .post("/json", |mut request: Request| async move {
            let orders: Vec<Order> = request.json().await?;
            Ok::<_, Error>(orders.len().to_string())
        })
        .post("/form", |mut request: Request| async move {
            let order: Order = request.form().await?;
            Ok::<_, Error>(format!("{} {:?}", order.drink, order.cup))
        })
        .post("/parts", |mut request: Request| async move {
            request.limit_body(200);
            let mut form = request.multipart()?;
            let mut told = String::new();
            while let Some(mut part) = form.next_part().await? {
                let name = part.name().to_owned();
                if name != "skipped" {
                    told += &format!("{name}={};", part.text(20).await?);
                }
            }
            Ok::<_, Error>(told)
        })
}

fn post(path: &str, kind: &str, body: &str) -> Reply {
    call(
        &app(),
        Request::post(path)
            .with_header("content-type", kind)
            .with_body(body),
    )
}

fn field(reply: &Reply) -> (u16, Option<String>) {
    let problem: Value = reply.json();
    (
        reply.status().as_u16(),
        problem
            .get("field")
            .and_then(Value::as_str)
            .map(str::to_owned),
    )
}

fn named(status: u16, field: &str) -> (u16, Option<String>) {
    (status, Some(field.to_owned()))
}

#[test]
fn a_path_that_does_not_fit_names_its_parameter() {
    assert_eq!(call(&app(), Request::get("/bar/7")).text(), "bar 7");
    assert_eq!(call(&app(), Request::get("/7")).text(), "7");
    assert_eq!(
        field(&call(&app(), Request::get("/bar/x"))),
        named(400, "seat")
    );
    assert_eq!(
        field(&call(&app(), Request::get("/256"))),
        named(400, "seat")
    );
}

#[test]
fn json_that_is_none_is_400_and_of_another_form_422_with_the_member() {
    let json = |body| post("/json", "application/json; charset=utf-8", body);
    assert_eq!(json(r#"[{"drink": "latte"}]"#).text(), "1");
    assert_eq!(json("[{").status(), 400);
    assert_eq!(
        field(&json(r#"[{"drink": "a"}, {"drink": 7}]"#)),
        named(422, "[1].drink")
    );
    assert_eq!(
        field(&json(r#"[{"drink": "a", "cup": [1, 300]}]"#)),
        named(422, "[0].cup[1]")
    );
    assert_eq!(field(&json(r#"[{"cup": [1]}]"#)), named(422, "[0].drink"));
    assert_eq!(
        post("/json", "application/vnd.shop+json", "[]").status(),
        200
    );
    assert_eq!(
        call(&app(), Request::post("/json").with_body("[]")).status(),
        200
    );
    for kind in [
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
    ] {
        assert_eq!(post("/json", kind, "[]").status(), 415, "{kind}");
    }
}

#[test]
fn a_form_takes_repeated_fields_and_names_what_does_not_fit() {
    let form = |body| post("/form", "application/x-www-form-urlencoded", body);
    assert_eq!(form("drink=a+b&cup=1&cup=2").text(), "a b [1, 2]");
    assert_eq!(field(&form("drink=a&cup=1&cup=x")), named(422, "cup"));
    assert_eq!(field(&form("cup=1")), named(422, "drink"));
    assert_eq!(field(&form("drink=a&drink=b")), named(422, "drink"));
    assert_eq!(post("/form", "application/json", "{}").status(), 415);
}

const BODY: &str = "preamble\r\n--b\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\none\r\n--not\r\n--b\r\n\
    content-disposition: form-data; name=\"skipped\"; filename=\"x;y.txt\"\r\nContent-Type: text/plain\r\n\r\n\r\n\
    --b\r\ncontent-disposition: form-data; name=\"q\\\"\"\r\n\r\n\r\n--b--\r\nrest";

#[test]
fn parts_are_the_same_in_whatever_pieces_they_come() {
    for size in [1, 2, 3, 7, 1000] {
        let mut request = Request::post("/parts").with_header("content-type", "multipart/form-data; boundary=\"b\"");
        for piece in BODY.as_bytes().chunks(size) {
            request = request.with_body(piece);
        }
        // More than the limit of the handler, which is for what comes.
        let reply = call(&app(), request);
        assert_eq!(
            (reply.status().as_u16(), reply.text()),
            (413, reply.text()),
            "{size}"
        );
    }
    let short = BODY
        .replace("preamble\r\n", "")
        .replace("\r\nContent-Type: text/plain", "")
        .replace("; filename=\"x;y.txt\"", "");
    for size in [1, 2, 3, 7, 1000] {
        let mut request = Request::post("/parts").with_header("content-type", "multipart/form-data; boundary=\"b\"");
        for piece in short.as_bytes().chunks(size) {
            request = request.with_body(piece);
        }
        assert_eq!(
            call(&app(), request).text(),
            "a=one\r\n--not;q\"=;",
            "{size}"
        );
    }
}

#[test]
fn a_form_with_files_that_is_broken_is_refused_and_never_waits() {
    let parts = |body| post("/parts", "multipart/form-data; boundary=b", body);
    for (body, status) in [
        ("", 400),
        ("--b", 400),
        ("--b\r\n\r\n\r\nno name\r\n--b--", 400),
        (
            "--b\r\ncontent-disposition: form-data; name=a\r\n\r\nno end",
            400,
        ),
        ("--b\r\nno colon\r\n\r\n--b--", 400),
        (
            "--b\r\ncontent-disposition: form-data; name=a\r\n\r\nmuch longer than twenty bytes\r\n--b--",
            413,
        ),
        ("--b--", 200),
    ] {
        assert_eq!(parts(body).status().as_u16(), status, "{body:?}");
    }
    let head = format!("--b\r\nx: {}\r\n\r\n--b--", "y".repeat(400));
    assert_eq!(parts(&head).status(), 413);
    for kind in [
        "multipart/form-data",
        "multipart/form-data; boundary=",
        "multipart/mixed; boundary=b",
    ] {
        assert_eq!(post("/parts", kind, "--b--").status(), 415, "{kind}");
    }
}
