//! HTTP as well-behaved clients speak it, over hyper.

use std::{convert::Infallible, net::SocketAddr};

use bytes::Bytes;
use futures_util::stream;
use http::{HeaderMap, Request, Response, StatusCode, request};
use http_body::Frame;
use http_body_util::{BodyExt as _, Empty, Full, StreamBody, combinators::UnsyncBoxBody};
use hyper::{
    body::Incoming,
    client::conn::{http1, http2},
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{net::TcpStream, sync::mpsc};

use super::{Event, RawConnection, TestGateway, eventually, within};

/// A request body.
pub(crate) type Body = UnsyncBoxBody<Bytes, Infallible>;

/// An HTTP/2 connection; a clone is another stream on it.
pub(crate) type Http2 = http2::SendRequest<Body>;

/// A whole answer.
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    pub(crate) trailers: Option<HeaderMap>,
}

impl Reply {
    /// Reads an answer to its end.
    pub(crate) async fn of(response: Response<Incoming>) -> hyper::Result<Self> {
        let (head, body) = response.into_parts();
        let collected = within("the end of a response body", body.collect()).await?;
        let trailers = collected.trailers().cloned();
        let body = collected.to_bytes();
        Ok(Self {
            status: head.status,
            headers: head.headers,
            body,
            trailers,
        })
    }

    /// The body as text.
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// A header's value.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// Checks that this is the gateway's own error, in every part that the error contract promises.
    #[track_caller]
    pub(crate) fn assert_error(&self, status: u16, reason: &str) {
        assert_eq!(
            (self.status.as_u16(), self.header("x-wasmgate-error")),
            (status, Some(reason))
        );
        assert_eq!(
            self.header("content-type"),
            Some("application/problem+json")
        );
        let problem: serde_json::Value = serde_json::from_slice(&self.body).unwrap();
        assert_eq!(problem["status"], status);
        assert!(
            problem["type"].is_string() && problem["title"].is_string(),
            "{problem}"
        );
        assert_eq!(problem["request_id"].as_str(), self.header("x-request-id"));
        assert!(problem["request_id"].is_string(), "{problem}");
        assert_eq!(
            self.header("retry-after").is_some(),
            status == 503 || status == 429,
            "Retry-After goes with 503 and 429"
        );
    }
}

impl TestGateway {
    /// A request to the gateway, with its Host.
    pub(crate) fn request(&self, method: &str, target: &str) -> request::Builder {
        Request::builder()
            .method(method)
            .uri(target)
            .header("host", self.address.to_string())
    }

    /// GET on a connection of its own.
    pub(crate) async fn get(&self, target: &str) -> Reply {
        self.send(self.request("GET", target).body(empty()).unwrap())
            .await
    }

    /// POST on a connection of its own.
    pub(crate) async fn post(&self, target: &str, body: impl Into<Bytes>) -> Reply {
        self.send(self.request("POST", target).body(full(body)).unwrap())
            .await
    }

    /// Any request on a connection of its own, read to its end.
    pub(crate) async fn send(&self, request: Request<Body>) -> Reply {
        let response = self.start_request(request).await.expect("a response");
        Reply::of(response).await.expect("a whole response")
    }

    /// Any request on a connection of its own, up to the head of its answer.
    pub(crate) async fn start_request(&self, request: Request<Body>) -> hyper::Result<Response<Incoming>> {
        let mut connection = self.http1().await;
        within("a response", connection.send_request(request)).await
    }

    /// GET on a connection of its own, again and again until the answer has a length that nobody gave it: on a busy
    /// machine a guest may have to let others go first between its head and the end of its body, and what it answers
    /// is sent as it comes.
    pub(crate) async fn get_with_length(&self, target: &str) -> Reply {
        let has_length = |reply: &Reply| reply.header("content-length").is_some();
        eventually(
            "an answer with its length",
            async || self.get(target).await,
            has_length,
        )
        .await
    }

    /// GET of what fails between the head and the end of the body. The answer is the gateway's own 502 with this
    /// reason, or it breaks off where a busy machine has sent the head by then; answers with the log's event, which is
    /// the same.
    pub(crate) async fn assert_fails_or_breaks_off(&self, target: &str, reason: &str) -> Event {
        let request = self.request("GET", target);
        self.assert_is_failed_or_cut(request, empty(), reason).await
    }

    /// The same for any request.
    pub(crate) async fn assert_is_failed_or_cut(&self, request: request::Builder, body: Body, reason: &str) -> Event {
        let id = uuid::Uuid::new_v4().to_string();
        let request = request.header("x-request-id", &id).body(body).unwrap();
        let target = request.uri().clone();
        match self.start_request(request).await {
            Ok(response) if response.status() == 502 => {
                let reply = Reply::of(response).await.unwrap();
                reply.assert_error(502, reason);
            }
            response => assert!(is_broken(response).await, "{target} ended cleanly"),
        }
        let told = [("request_id", id.as_str()), ("reason", reason)];
        self.wait_for_event(&told).await
    }

    /// A keep-alive HTTP/1.1 connection.
    pub(crate) async fn http1(&self) -> http1::SendRequest<Body> {
        let stream = TcpStream::connect(self.address)
            .await
            .expect("a connection");
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        sender
    }

    /// An HTTP/2 connection by prior knowledge.
    pub(crate) async fn http2(&self) -> Http2 {
        let stream = TcpStream::connect(self.address)
            .await
            .expect("a connection");
        let (sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
            .await
            .unwrap();
        tokio::spawn(connection);
        sender
    }

    /// A connection for bytes that no client library would send.
    pub(crate) async fn raw(&self) -> RawConnection {
        RawConnection::to(self.address).await
    }

    /// GET from the admin listener.
    pub(crate) async fn admin_get(&self, target: &str) -> Reply {
        let request = Request::get(target)
            .header("host", "admin")
            .body(empty())
            .unwrap();
        send_to(self.admin, request).await
    }
}

/// Any request to any address, on a connection of its own, read to its end.
pub(crate) async fn send_to(address: SocketAddr, request: Request<Body>) -> Reply {
    let stream = TcpStream::connect(address).await.expect("a connection");
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let response = within("a response", sender.send_request(request)).await;
    Reply::of(response.expect("a response"))
        .await
        .expect("a whole response")
}

/// No body.
pub(crate) fn empty() -> Body {
    Empty::new().boxed_unsync()
}

/// A body of known length.
pub(crate) fn full(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into()).boxed_unsync()
}

/// A body whose frames the test sends one by one; dropping the sender ends it.
pub(crate) fn channel() -> (mpsc::Sender<Frame<Bytes>>, Body) {
    let (sender, receiver) = mpsc::channel(1);
    let frames = stream::unfold(receiver, async |mut receiver| {
        let frame: Frame<Bytes> = receiver.recv().await?;
        Some((Ok(frame), receiver))
    });
    (sender, StreamBody::new(frames).boxed_unsync())
}

/// Returns whether a client can tell that an answer is not the whole one: no head, or a body that breaks off.
pub(crate) async fn is_broken(response: hyper::Result<Response<Incoming>>) -> bool {
    match response {
        Ok(response) => Reply::of(response).await.is_err(),
        Err(_) => true,
    }
}
