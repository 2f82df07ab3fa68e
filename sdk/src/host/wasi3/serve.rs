//! One request, from the host and back to it.

use std::{io::Write as _, rc::Rc};

use http::StatusCode;
use wasip3::{
    http::types::{ErrorCode, Fields as WasiFields, Request as WasiRequest, Response as WasiResponse},
    spawn_local,
    wit_bindgen::{FutureReader, StreamReader},
};

use super::{
    Incoming, Sink,
    body::{End, Ending, nothing, open},
};
use crate::{
    BodyWriter, Error, HeaderMap, Method, Response, Router,
    answer::AnswerKind,
    fields::Fields,
    host::{fields::fields, upload::is_disconnect},
    start_up,
    stream::{Payload, Trailers},
};

/// Answers one request; the expansion of `serve!`. The body is written when the host has the head.
pub async fn serve(app: fn() -> Router, request: WasiRequest) -> Result<WasiResponse, ErrorCode> {
    let request = Incoming::request(request);
    let to_head = *request.method() == Method::HEAD;
    // An instance may answer several requests, and a router leaves names behind when it goes.
    let app = start_up::kept().unwrap_or_else(|| start_up::keep(app()));
    let answer = app.dispatch(request);
    let response = match answer.0 {
        AnswerKind::Ready(response) => response,
        AnswerKind::Future(future) => future.await,
    };
    let (head, payload) = prepare(response, to_head);
    // What was printed without a line end would be lost with the instance. Nobody is left to tell when stdout is gone.
    let _ = std::io::stdout().flush();
    if matches!(&payload, Payload::Full(bytes) if bytes.is_empty()) {
        return Ok(head.response(None, nothing()));
    }
    let (sink, end, contents, trailers) = open();
    let response = head.response(Some(contents), trailers);
    spawn_local(async move {
        // A client that has gone away is no news.
        if let Err(error) = write(payload, sink, end).await
            && !is_disconnect(&error)
        {
            crate::log(&format!("the answer was cut short: {error}"));
        }
        let _ = std::io::stdout().flush();
    });
    Ok(response)
}

/// Writes a whole body. One that fails stays without its end, so that it is cut.
pub(super) async fn write(payload: Payload, mut sink: Sink, end: Ending) -> Result<(), Error> {
    match payload {
        Payload::Full(bytes) => {
            sink.write_owned(bytes.into_owned()).await?;
            drop(sink);
            end.finish(&HeaderMap::new()).await
        }
        Payload::Stream(produce) => {
            let trailers = Trailers::default();
            produce(BodyWriter::new(sink, Rc::clone(&trailers))).await?;
            let trailers = trailers.take();
            end.finish(&trailers).await
        }
    }
}

/// A head that the host takes.
struct Head {
    status: u16,
    fields: WasiFields,
}

impl Head {
    fn response(self, contents: Option<StreamReader<u8>>, trailers: FutureReader<End>) -> WasiResponse {
        let (response, _) = WasiResponse::new(self.fields, contents, trailers);
        // It was tried on another one.
        let _ = response.set_status_code(self.status);
        response
    }
}

/// The answer's head as the host takes it; 500 in its place when the host refuses it.
fn prepare(response: Response, to_head: bool) -> (Head, Payload) {
    let (status, headers, payload) = response.into_parts(to_head);
    match head(status, &headers) {
        Ok(head) => (head, payload),
        Err(message) => {
            let (status, headers, payload) = Error::internal(message).into_response().into_parts(to_head);
            // The host takes the problem's own head; did it not, an empty answer still is one.
            let plain = |_| Head {
                status: status.as_u16(),
                fields: WasiFields::new(),
            };
            (head(status, &headers).unwrap_or_else(plain), payload)
        }
    }
}

fn head(status: StatusCode, headers: &Fields) -> Result<Head, String> {
    let fields = fields(&headers.entries()).map_err(|error| format!("{error:?}"))?;
    let status = status.as_u16();
    Ok(Head { status, fields })
}
