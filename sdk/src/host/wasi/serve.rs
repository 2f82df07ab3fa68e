//! One request, from the host and back to it.

use std::{io::Write, rc::Rc};

use http::StatusCode;
use wasip2::http::types::{Fields as WasiFields, IncomingRequest, OutgoingBody, OutgoingResponse, ResponseOutparam};

use super::{Incoming, Sink, executor::block_on};
use crate::{
    BodyWriter, Error, HeaderMap, Method, Response, Router,
    answer::AnswerKind,
    fields::{Fields, entries},
    host::{fields::fields, upload::is_disconnect},
    start_up,
    stream::{Payload, Trailers},
};

/// Answers one request; the expansion of `serve!`.
pub fn serve(app: fn() -> Router, request: IncomingRequest, outparam: ResponseOutparam) {
    let request = Incoming::request(request);
    let to_head = *request.method() == Method::HEAD;
    let answer = match start_up::kept() {
        Some(app) => app.dispatch(request),
        None => app().dispatch(request),
    };
    let response = match answer.0 {
        AnswerKind::Ready(response) => response,
        AnswerKind::Future(future) => block_on(future),
    };
    let (response, payload) = prepare(response, to_head);
    let sent = send(response, payload, outparam);
    // What was printed without a line end would be lost with the instance. Nobody is left to tell when stdout is gone.
    let _ = std::io::stdout().flush();
    // A client that has gone away is no news.
    if let Err(error) = sent
        && !is_disconnect(&error)
    {
        crate::log(&format!("the answer was cut short: {error}"));
    }
}

/// The answer as the host takes it; 500 in its place when the host refuses its head.
fn prepare(response: Response, to_head: bool) -> (OutgoingResponse, Payload) {
    let (status, headers, payload) = response.into_parts(to_head);
    match head(status, &headers) {
        Ok(response) => (response, payload),
        Err(message) => {
            let (status, headers, payload) = Error::internal(message).into_response().into_parts(to_head);
            // The host takes the problem's own head; did it not, an empty answer still is one.
            let plain = || OutgoingResponse::new(WasiFields::new());
            (head(status, &headers).unwrap_or_else(|_| plain()), payload)
        }
    }
}

fn head(status: StatusCode, headers: &Fields) -> Result<OutgoingResponse, String> {
    let response = OutgoingResponse::new(fields(&headers.entries()).map_err(|error| error.to_string())?);
    // 200 is what a new response has.
    if status != StatusCode::OK && response.set_status_code(status.as_u16()).is_err() {
        return Err(format!("the host refuses the status {}", status.as_u16()));
    }
    Ok(response)
}

fn send(response: OutgoingResponse, payload: Payload, outparam: ResponseOutparam) -> Result<(), Error> {
    // Without a body there is nothing to open: four host calls fewer, and the content-length of an
    // answer to HEAD is not held against a body that is not sent.
    if matches!(&payload, Payload::Full(bytes) if bytes.is_empty()) {
        ResponseOutparam::set(outparam, Ok(response));
        return Ok(());
    }
    let body = response.body();
    ResponseOutparam::set(outparam, Ok(response));
    let body = body.map_err(|()| Error::internal("the host gives no body"))?;
    let mut sink = Sink::new(&body).ok_or_else(|| Error::internal("the host gives no stream"))?;
    match payload {
        Payload::Full(bytes) => {
            if !sink.write_at_once(&bytes)? {
                block_on(sink.write_all(&bytes))?;
            }
            // A stream has to go before its body.
            drop(sink);
            finish(body, None)
        }
        Payload::Stream(produce) => {
            let trailers = Trailers::default();
            // A body that is dropped unfinished tells the host to cut the connection.
            block_on(produce(BodyWriter::new(sink, Rc::clone(&trailers))))?;
            finish(body, Some(&trailers.borrow()))
        }
    }
}

/// Ends a body, with trailers if there are any.
pub(super) fn finish(body: OutgoingBody, trailers: Option<&HeaderMap>) -> Result<(), Error> {
    let trailers = trailers
        .filter(|trailers| !trailers.is_empty())
        .map(|trailers| fields(&entries(trailers)))
        .transpose()?;
    // The host's code is not written out: the texts of all codes are a tenth of a small package.
    OutgoingBody::finish(body, trailers)
        .map_err(|_| Error::internal("the host refused the end of the body: its length or its trailers"))
}
