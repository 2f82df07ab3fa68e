//! A middleware: it answers `/refused` itself, and passes everything else on with a mark on the way there and back.
#![cfg(target_arch = "wasm32")]
#![allow(
    missing_docs,
    unsafe_code,
    unreachable_pub,
    clippy::all,
    clippy::pedantic,
    reason = "most of it is generated"
)]
#![allow(
    clippy::unwrap_used,
    reason = "a host that breaks the contract is a failed test, and a trap says so loudest"
)]

wit_bindgen::generate!({
    path: "wit",
    world: "wasi:http/middleware",
});

use exports::wasi::http::handler::Guest;
use wasi::http::{
    handler,
    types::{ErrorCode, Fields, Request, Response},
};

/// Says where to instead.
const TO: &str = "x-test-path";

/// Says how often.
const TIMES: &str = "x-test-times";

/// Asks for a request that tells nothing but its path.
const BARE: &str = "x-test-bare";

/// Asks that both bodies be written anew, with so many bytes more at their end, and all fields be kept.
const LONGER: &str = "x-test-longer";

/// Says the length of either body that is written anew.
const LENGTH: &str = "x-test-length";
const ANSWER_LENGTH: &str = "x-test-answer-length";

struct Middleware;

export!(Middleware);

impl Guest for Middleware {
    async fn handle(request: Request) -> Result<Response, ErrorCode> {
        let path = request.get_path_with_query().unwrap_or_default();
        if path.ends_with("/refused") {
            return Ok(refusal());
        }
        let fields = request.get_headers().copy_all();
        let said = |name: &str| {
            let found = fields.iter().find(|(field, _)| field == name);
            found.and_then(|(_, value)| String::from_utf8(value.clone()).ok())
        };
        if path.ends_with("/hangs") {
            std::future::pending::<()>().await;
        }
        let times = said(TIMES)
            .and_then(|times| times.parse().ok())
            .unwrap_or(1);
        let path = said(TO).unwrap_or(path);
        for _ in 1..times {
            let (mut body, _) = Response::consume_body(handler::handle(bare(&path)).await?, done());
            // To its end.
            while body.next().await.is_some() {}
        }
        let longer = said(LONGER).and_then(|longer| longer.parse().ok());
        let (length, answer_length) = (said(LENGTH), said(ANSWER_LENGTH));
        let passed = match said(BARE) {
            Some(_) => bare(&path),
            None => passed_on(request, fields, &path, Anew { longer, length }),
        };
        let response = handler::handle(passed).await?;
        let length = answer_length;
        Ok(passed_back(response, Anew { longer, length }))
    }
}

/// How a body is written anew, if it is.
struct Anew {
    longer: Option<usize>,
    length: Option<String>,
}

type Body = (
    wit_bindgen::StreamReader<u8>,
    wit_bindgen::FutureReader<Result<Option<Fields>, ErrorCode>>,
);

impl Anew {
    fn head(&self, fields: &mut Vec<(String, Vec<u8>)>) {
        if let Some(length) = &self.length {
            fields.retain(|(name, _)| name != "content-length");
            fields.push(("content-length".to_owned(), length.clone().into_bytes()));
        }
    }

    fn body(&self, (body, trailers): Body) -> Body {
        let Some(longer) = self.longer else {
            return (body, trailers);
        };
        let (mut writer, reader) = wit_stream::new();
        wit_bindgen::spawn_local(async move {
            let mut all = body.collect().await;
            all.resize(all.len() + longer, b'!');
            writer.write_all(all).await;
        });
        (reader, trailers)
    }
}

fn passed_on(request: Request, mut fields: Vec<(String, Vec<u8>)>, path: &str, anew: Anew) -> Request {
    let (method, scheme, authority) = (
        request.get_method(),
        request.get_scheme(),
        request.get_authority(),
    );
    fields.push(("x-passed".to_owned(), b"on".to_vec()));
    anew.head(&mut fields);
    let (body, trailers) = anew.body(Request::consume_body(request, done()));
    let (passed, _done) = Request::new(
        Fields::from_list(&fields).unwrap(),
        Some(body),
        trailers,
        None,
    );
    passed.set_method(&method).unwrap();
    passed.set_scheme(scheme.as_ref()).unwrap();
    passed.set_authority(authority.as_deref()).unwrap();
    passed.set_path_with_query(Some(path)).unwrap();
    passed
}

fn bare(path: &str) -> Request {
    let (bare, _done) = Request::new(Fields::from_list(&[]).unwrap(), None, no_trailers(), None);
    bare.set_path_with_query(Some(path)).unwrap();
    bare
}

fn passed_back(response: Response, anew: Anew) -> Response {
    let mut fields = response.get_headers().copy_all();
    fields.push(("x-passed".to_owned(), b"back".to_vec()));
    let status = response.get_status_code();
    anew.head(&mut fields);
    let (body, trailers) = anew.body(Response::consume_body(response, done()));
    let (passed, _done) = Response::new(Fields::from_list(&fields).unwrap(), Some(body), trailers);
    passed.set_status_code(status).unwrap();
    passed
}

fn refusal() -> Response {
    let (response, _done) = Response::new(Fields::from_list(&[]).unwrap(), None, no_trailers());
    response.set_status_code(403).unwrap();
    response
}

fn done() -> wit_bindgen::FutureReader<Result<(), ErrorCode>> {
    wit_future::new(|| Ok(())).1
}

fn no_trailers() -> wit_bindgen::FutureReader<Result<Option<Fields>, ErrorCode>> {
    wit_future::new(|| Ok(None)).1
}
