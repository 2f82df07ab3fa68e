//! Calls outward over `wasi:http/client`.

use std::time::Duration;

use http::StatusCode;
use wasip3::{
    http::{
        client,
        types::{Request as WasiRequest, RequestOptions, Response as WasiResponse, Scheme},
    },
    wit_future,
};

use super::{
    Source,
    body::{nothing, open},
    serve::write,
};
use crate::{
    Body,
    client::{Call, Error, Response, call::Timeouts},
    fields::entries,
    host::{
        failure::failure,
        fields::{fields, header_map},
        method::method,
        upload::beside,
    },
    stream::{Payload, Production},
};

/// Sends a call and waits for the head of its answer.
pub(crate) async fn send(call: Call) -> Result<Response, Error> {
    let (request, mut upload) = request(call)?;
    let sent = beside(&mut upload, client::send(request)).await;
    let response = sent.map_err(failure)?;
    let headers = header_map(response.get_headers().copy_all());
    let status = response.get_status_code();
    let (_, done) = wit_future::new(|| Ok(()));
    let body = WasiResponse::consume_body(response, done);
    let source = Source::new(Some(body)).with_upload(upload);
    let status = StatusCode::from_u16(status).map_err(|_| Error::Other(format!("the answer's status is {status}")))?;
    Ok(Response::new(status, headers, Body::new(source)))
}

/// The request, and the sending of its body, to go on while the answer is waited for and read.
fn request(call: Call) -> Result<(WasiRequest, Option<Production>), Error> {
    let fields = fields(&entries(&call.headers)).map_err(|error| Error::InvalidRequest(format!("{error:?}")))?;
    let options = options(&call.timeouts);
    let (request, upload) = match call.payload {
        Payload::Full(bytes) if bytes.is_empty() => (WasiRequest::new(fields, None, nothing(), options).0, None),
        payload => {
            let (sink, end, contents, trailers) = open();
            let (request, _) = WasiRequest::new(fields, Some(contents), trailers, options);
            let upload: Production = Box::pin(write(payload, sink, end));
            (request, Some(upload))
        }
    };
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
    Ok((request, upload))
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
