//! Calls outward over `wasi:http/outgoing-handler`.

use std::{rc::Rc, time::Duration};

use http::StatusCode;
use wasip2::http::{
    outgoing_handler,
    types::{FutureIncomingResponse, IncomingResponse, OutgoingRequest, RequestOptions, Scheme},
};

use super::{Sink, Source, executor::wait, serve::finish};
use crate::{
    Body, BodyWriter,
    client::{Call, Error, Response, call::Timeouts},
    fields::entries,
    host::{
        failure::failure,
        fields::{fields, header_map},
        method::method,
        upload::beside,
    },
    stream::{Payload, Production, Trailers},
};

/// Sends a call and waits for the head of its answer.
pub(crate) async fn send(call: Call) -> Result<Response, Error> {
    let request = request(&call)?;
    let open = match &call.payload {
        Payload::Full(bytes) if bytes.is_empty() => None,
        Payload::Full(_) | Payload::Stream(_) => Some(request.body()),
    };
    let future = outgoing_handler::handle(request, options(&call.timeouts)).map_err(failure)?;
    let mut upload = match open {
        Some(Ok(body)) => {
            let sink = Sink::new(&body).ok_or_else(|| Error::Other("no stream for the body".into()))?;
            Some(upload(call.payload, body, sink))
        }
        Some(Err(())) => return Err(Error::Other("no body for the request".into())),
        None => None,
    };
    let response = head(&future, &mut upload).await?;
    let headers = header_map(response.headers().entries());
    let source = Source::new(response.consume().ok()).with_upload(upload);
    let status = StatusCode::from_u16(response.status())
        .map_err(|_| Error::Other(format!("the answer's status is {}", response.status())))?;
    Ok(Response::new(status, headers, Body::new(source)))
}

fn request(call: &Call) -> Result<OutgoingRequest, Error> {
    let fields = fields(&entries(&call.headers)).map_err(|error| Error::InvalidRequest(error.to_string()))?;
    let request = OutgoingRequest::new(fields);
    let scheme = if call.url.https {
        Scheme::Https
    } else {
        Scheme::Http
    };
    let set = request
        .set_method(&method(&call.method))
        .and_then(|()| request.set_scheme(Some(&scheme)))
        .and_then(|()| request.set_authority(Some(&call.url.authority)))
        .and_then(|()| request.set_path_with_query(Some(&call.url.target)));
    set.map_err(|()| Error::InvalidRequest("the method or the URL is not HTTP".into()))?;
    Ok(request)
}

/// `None` when the host's own time-outs are to be used.
fn options(timeouts: &Timeouts) -> Option<RequestOptions> {
    if *timeouts == Timeouts::default() {
        return None;
    }
    let nanoseconds = |duration: Duration| u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
    let options = RequestOptions::new();
    // A host that knows no time-outs refuses them; its own limits hold then.
    let _ = options.set_connect_timeout(timeouts.connect.map(nanoseconds));
    let _ = options.set_first_byte_timeout(timeouts.first_byte.map(nanoseconds));
    let _ = options.set_between_bytes_timeout(timeouts.between_bytes.map(nanoseconds));
    Some(options)
}

/// The sending of the body, to go on while the answer is waited for and read.
fn upload(payload: Payload, body: wasip2::http::types::OutgoingBody, mut sink: Sink) -> Production {
    Box::pin(async move {
        let trailers = Trailers::default();
        match payload {
            Payload::Full(bytes) => {
                sink.write_all(&bytes).await?;
                drop(sink);
            }
            Payload::Stream(produce) => produce(BodyWriter::new(sink, Rc::clone(&trailers))).await?,
        }
        finish(body, Some(&trailers.borrow()))
    })
}

async fn head(future: &FutureIncomingResponse, upload: &mut Option<Production>) -> Result<IncomingResponse, Error> {
    // The host may hold its answer back until the body has begun, so that comes first.
    beside(upload, std::future::ready(())).await;
    loop {
        match future.get() {
            Some(Ok(result)) => return result.map_err(failure),
            Some(Err(())) => return Err(Error::Other("the answer was taken already".into())),
            None => beside(upload, wait(future.subscribe())).await,
        }
    }
}
