//! Calls of the Dapr API at the address that the environment names.

use wasip2::http::{
    outgoing_handler,
    types::{Fields, IncomingRequest, Method, OutgoingRequest, ResponseOutparam, Scheme},
};

use crate::{Answer, OutgoingBodyWriter, RequestBody, answer, header, response_of};

/// The prefix before the names of headers that a relayed call is to carry.
const RELAYED: &str = "x-send-";

/// An answer of the API.
pub struct Reply {
    /// The status.
    pub status: u16,
    /// The headers, names and values.
    pub headers: Vec<(String, Vec<u8>)>,
    /// The body, whole.
    pub body: Vec<u8>,
}

impl Reply {
    /// A header's value, when there is one and it is UTF-8.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<String> {
        let found = self.headers.iter().find(|(known, _)| known == name)?;
        String::from_utf8(found.1.clone()).ok()
    }
}

/// Calls the API.
///
/// # Errors
/// The host's word for what went wrong, such as a body that broke off.
pub fn call(method: &Method, path: &str, headers: &[(&str, String)], body: &[u8]) -> Result<Reply, String> {
    let endpoint = variable("DAPR_HTTP_ENDPOINT").unwrap_or_else(|| "http://localhost:3500".to_owned());
    let fields = Fields::new();
    for (name, value) in headers {
        let _ = fields.append(name, value.as_bytes());
    }
    let call = OutgoingRequest::new(fields);
    let _ = call.set_method(method);
    let _ = call.set_scheme(Some(&Scheme::Http));
    let _ = call.set_authority(Some(endpoint.trim_start_matches("http://")));
    call.set_path_with_query(Some(path))
        .map_err(|()| format!("{path:?} is no path"))?;
    let mut sent = OutgoingBodyWriter::of(&call);
    let pending = outgoing_handler::handle(call, None).map_err(|code| format!("{code:?}"))?;
    sent.write(body);
    sent.finish(None);
    let response = response_of(&pending).map_err(|code| format!("{code:?}"))?;
    let (status, headers) = (response.status(), response.headers().entries());
    let mut incoming = RequestBody::of_response(&response);
    let mut body = Vec::new();
    while let Some(chunk) = incoming.chunk() {
        body.extend(chunk);
    }
    if incoming.was_cut_short() {
        return Err("the answer was cut short".to_owned());
    }
    Ok(Reply {
        status,
        headers,
        body,
    })
}

/// Answers what the API answers to the call in the header `x-call`, with the request's own method, body and
/// those headers that begin with `x-send-`; a call that fails answers 599.
pub fn relay(request: &IncomingRequest, out: ResponseOutparam) {
    let path = header(request, "x-call").unwrap_or_default();
    let entries = request.headers().entries();
    let passed_on: Vec<(&str, String)> = entries
        .iter()
        .filter_map(|(name, value)| {
            let value = String::from_utf8(value.clone()).ok()?;
            Some((name.strip_prefix(RELAYED)?, value))
        })
        .collect();
    let body = whole(request);
    let reply = match call(&request.method(), &path, &passed_on, &body) {
        Ok(reply) => reply,
        Err(error) => return answer(out, 599, &error),
    };
    let names: Vec<(&str, String)> = reply
        .headers
        .iter()
        .map(|(name, value)| (name.as_str(), String::from_utf8_lossy(value).into_owned()))
        .collect();
    let headers: Vec<(&str, &str)> = names
        .iter()
        .map(|(name, value)| (*name, value.as_str()))
        .collect();
    let mut answer = Answer::start(out, reply.status, &headers);
    answer.write(&reply.body);
    answer.finish(None);
}

/// The whole body of the request that is being handled.
#[must_use]
pub fn whole(request: &IncomingRequest) -> Vec<u8> {
    let mut body = RequestBody::of(request);
    let mut bytes = Vec::new();
    while let Some(chunk) = body.chunk() {
        bytes.extend(chunk);
    }
    bytes
}

/// A variable of the guest's environment.
#[must_use]
pub fn variable(name: &str) -> Option<String> {
    let environment = wasip2::cli::environment::get_environment();
    environment
        .into_iter()
        .find(|(known, _)| known == name)
        .map(|(_, value)| value)
}
