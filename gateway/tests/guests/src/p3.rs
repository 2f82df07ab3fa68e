//! The same parts for guests of WASI 0.3: bodies in both directions, as streams.

use wasip3::{
    http::{
        client,
        types::{ErrorCode, Fields, Method, Request, Response, Scheme, Trailers},
    },
    wit_bindgen::{FutureReader, FutureWriter, StreamReader, StreamResult, StreamWriter},
    wit_future, wit_stream,
};

/// Most bytes asked of a body at once.
const CHUNK_BYTES: usize = 64 * 1024;

/// The end of a body: trailers, or none, or an error in place of an end.
pub type End = Result<Option<Trailers>, ErrorCode>;

/// Exports `async fn handle(Request) -> Result<Response, ErrorCode>` as the component's HTTP handler of WASI 0.3.
#[macro_export]
macro_rules! serve_p3 {
    ($handler:path) => {
        struct Component;

        impl ::wasip3::exports::http::handler::Guest for Component {
            async fn handle(
                request: ::wasip3::http::types::Request,
            ) -> Result<::wasip3::http::types::Response, ::wasip3::http::types::ErrorCode> {
                $handler(request).await
            }
        }

        ::wasip3::http::service::export!(Component);
    };
}

/// A body that the guest writes.
pub struct Writing {
    stream: StreamWriter<u8>,
    end: FutureWriter<End>,
}

impl Writing {
    /// A body, and what the host is to be given of it.
    fn start() -> (Self, StreamReader<u8>, FutureReader<End>) {
        let (stream, contents) = wit_stream::new();
        let (end, trailers) = wit_future::new(|| Ok(None));
        (Self { stream, end }, contents, trailers)
    }

    /// Writes all bytes; `false` when nobody reads them.
    pub async fn write(&mut self, bytes: &[u8]) -> bool {
        self.stream.write_all(bytes.to_vec()).await.is_empty()
    }

    /// Ends the contents, and never says that there are no trailers.
    pub fn end_without_trailers(self) {
        std::mem::forget(self.end);
    }

    /// Ends the body.
    pub async fn finish(self, end: End) {
        let Self { stream, end: to } = self;
        drop(stream);
        let _ = to.write(end).await;
    }
}

/// A response's head, and its body to be written.
#[must_use]
pub fn respond(status: u16, headers: &[(&str, &str)]) -> (Response, Writing) {
    let (body, contents, trailers) = Writing::start();
    let (response, _) = Response::new(fields(headers), Some(contents), trailers);
    let _ = response.set_status_code(status);
    (response, body)
}

/// A whole answer of plain text.
#[must_use]
pub fn answer(status: u16, text: &str) -> Response {
    let (response, mut body) = respond(status, &[("content-type", "text/plain")]);
    let text = text.as_bytes().to_vec();
    wasip3::spawn_local(async move {
        body.write(&text).await;
        body.finish(Ok(None)).await;
    });
    response
}

/// A response whose body is what the host hands in, which the guest never sees.
#[must_use]
pub fn pass(status: u16, contents: StreamReader<u8>, trailers: FutureReader<End>) -> Response {
    let (response, _) = Response::new(Fields::new(), Some(contents), trailers);
    let _ = response.set_status_code(status);
    response
}

/// Fields; one that the host refuses is left out.
#[must_use]
pub fn fields(headers: &[(&str, &str)]) -> Fields {
    let fields = Fields::new();
    for (name, value) in headers {
        let _ = fields.append(name, value.as_bytes());
    }
    fields
}

/// The body of the request that is being handled.
#[must_use]
pub fn taken(request: Request) -> (StreamReader<u8>, FutureReader<End>) {
    let (_, done) = wit_future::new(|| Ok(()));
    Request::consume_body(request, done)
}

/// The body of the answer to an outgoing request.
#[must_use]
pub fn taken_of_response(response: Response) -> (StreamReader<u8>, FutureReader<End>) {
    let (_, done) = wit_future::new(|| Ok(()));
    Response::consume_body(response, done)
}

/// The next bytes, or `None` at the end, good or bad: the trailers tell.
pub async fn chunk(body: &mut StreamReader<u8>) -> Option<Vec<u8>> {
    let (result, bytes) = body.read(Vec::with_capacity(CHUNK_BYTES)).await;
    match result {
        StreamResult::Complete(_) => Some(bytes),
        StreamResult::Dropped | StreamResult::Cancelled => (!bytes.is_empty()).then_some(bytes),
    }
}

/// All bytes, and the end.
pub async fn whole(mut body: StreamReader<u8>, trailers: FutureReader<End>) -> (Vec<u8>, End) {
    let mut all = Vec::new();
    while let Some(bytes) = chunk(&mut body).await {
        all.extend(bytes);
    }
    (all, trailers.await)
}

/// Copies a body to its end, with its trailers.
pub async fn copy(mut from: StreamReader<u8>, trailers: FutureReader<End>, mut to: Writing) {
    while let Some(bytes) = chunk(&mut from).await {
        if !to.write(&bytes).await {
            return;
        }
    }
    to.finish(trailers.await).await;
}

/// A request to `url`, without its body.
fn request_to(
    url: &str,
    method: &Method,
    headers: Fields,
    contents: Option<StreamReader<u8>>,
    trailers: FutureReader<End>,
) -> Request {
    let (scheme, rest) = url.split_once("://").unwrap_or(("http", url));
    let scheme = if scheme == "https" {
        Scheme::Https
    } else {
        Scheme::Http
    };
    let at = rest.find('/').unwrap_or(rest.len());
    let (authority, path) = rest.split_at(at);
    let (request, _) = Request::new(headers, contents, trailers, None);
    let _ = request.set_method(method);
    let _ = request.set_scheme(Some(&scheme));
    let _ = request.set_authority(Some(authority));
    let _ = request.set_path_with_query(Some(if path.is_empty() { "/" } else { path }));
    request
}

/// Sends a request whose body the caller writes meanwhile.
#[must_use]
pub fn begin(url: &str, method: &Method, headers: Fields) -> (Request, Writing) {
    let (body, contents, trailers) = Writing::start();
    (
        request_to(url, method, headers, Some(contents), trailers),
        body,
    )
}

/// Sends a request whose body is what the host hands in.
pub async fn forward(
    url: &str,
    method: &Method,
    (contents, trailers): (StreamReader<u8>, FutureReader<End>),
) -> Result<Response, ErrorCode> {
    client::send(request_to(
        url,
        method,
        Fields::new(),
        Some(contents),
        trailers,
    ))
    .await
}

/// Sends a request with a whole body, and waits for the head of its answer.
///
/// # Errors
/// The host's word for what went wrong with the call.
pub async fn fetch(url: &str, method: &Method, headers: Fields, body: &[u8]) -> Result<Response, ErrorCode> {
    let (request, mut writing) = begin(url, method, headers);
    let body = body.to_vec();
    wasip3::spawn_local(async move {
        if !body.is_empty() {
            writing.write(&body).await;
        }
        writing.finish(Ok(None)).await;
    });
    client::send(request).await
}

/// The path and query as the guest sees them.
#[must_use]
pub fn target(request: &Request) -> String {
    request.get_path_with_query().unwrap_or_default()
}

/// The first value of a header, when it is UTF-8.
#[must_use]
pub fn header(request: &Request, name: &str) -> Option<String> {
    let value = request.get_headers().get(name).into_iter().next()?;
    String::from_utf8(value).ok()
}

/// The number in `?key=`, or another.
#[must_use]
pub fn number(target: &str, key: &str, otherwise: u64) -> u64 {
    let value = crate::parameter(target, key);
    value
        .and_then(|value| value.parse().ok())
        .unwrap_or(otherwise)
}
