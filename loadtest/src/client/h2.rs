//! HTTP/2 with prior knowledge: several streams share one connection.

use std::{cell::RefCell, future::poll_fn, net::SocketAddr, rc::Rc, time::Duration};

use bytes::Bytes;
use h2::client::SendRequest;
use tokio::{net::TcpStream, time::timeout};

use super::lane::Running;
use crate::{
    stats::Failure,
    workload::{BodyCheck, Exchange},
};

/// A stream's receive window: a 1 MiB body needs no round trip of updates.
const STREAM_WINDOW_BYTES: u32 = 2 * 1024 * 1024;
/// A connection's receive window, for many such streams at once.
const CONNECTION_WINDOW_BYTES: u32 = 16 * 1024 * 1024;

/// A connection shared by the streams of one lane.
pub(super) struct Shared {
    sender: RefCell<Option<SendRequest<Bytes>>>,
    /// Held while connecting, so that the streams connect once.
    connecting: tokio::sync::Mutex<()>,
}

impl Shared {
    pub(super) fn new(sender: Option<SendRequest<Bytes>>) -> Self {
        Self {
            sender: RefCell::new(sender),
            connecting: tokio::sync::Mutex::new(()),
        }
    }

    async fn sender(&self, lane: &Running) -> Result<SendRequest<Bytes>, Failure> {
        let ready = || self.sender.borrow().clone();
        if let Some(sender) = ready() {
            return Ok(sender);
        }
        let _connecting = self.connecting.lock().await;
        if let Some(sender) = ready() {
            return Ok(sender);
        }
        let sender = open(lane.target.address, lane.timeout).await?;
        *self.sender.borrow_mut() = Some(sender.clone());
        Ok(sender)
    }
}

/// Connects and shakes hands; the connection runs as a task of its own.
pub(super) async fn open(address: SocketAddr, limit: Duration) -> Result<SendRequest<Bytes>, Failure> {
    let connect = async {
        let stream = TcpStream::connect(address).await.ok()?;
        stream.set_nodelay(true).ok()?;
        h2::client::Builder::new()
            .initial_window_size(STREAM_WINDOW_BYTES)
            .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
            .handshake(stream)
            .await
            .ok()
    };
    let connected = timeout(limit, connect).await.ok().flatten();
    let (sender, connection) = connected.ok_or(Failure::Connect)?;
    // Its end shows as a failed request on one of its streams.
    tokio::spawn(connection);
    Ok(sender)
}

/// The request head of an exchange; `None` when its path is not a valid one.
pub(super) fn request(exchange: &Exchange, authority: &str) -> Option<http::Request<()>> {
    let mut request = http::Request::builder()
        .method(exchange.method.clone())
        .uri(format!("http://{authority}{}", exchange.path));
    if let Some(content_type) = exchange.content_type {
        request = request.header(http::header::CONTENT_TYPE, content_type);
    }
    if !exchange.body.is_empty() {
        request = request.header(http::header::CONTENT_LENGTH, exchange.body.len());
    }
    request.body(()).ok()
}

/// Sends one request and reads its response; its status.
pub(super) async fn exchange(
    sender: &mut SendRequest<Bytes>,
    request: &http::Request<()>,
    body: &Bytes,
    limit: Duration,
    on_body: &mut impl FnMut(&[u8]),
) -> Result<u16, Failure> {
    let work = async {
        poll_fn(|context| sender.poll_ready(context)).await?;
        let (response, mut stream) = sender.send_request(request.clone(), body.is_empty())?;
        // A server may answer before it has read the whole body.
        let (sent, response) = tokio::join!(send_body(&mut stream, body.clone()), response);
        let response = response.or_else(|error| sent.and(Err(error)))?;
        let status = response.status().as_u16();
        let mut incoming = response.into_body();
        while let Some(piece) = incoming.data().await {
            let piece = piece?;
            on_body(&piece);
            incoming.flow_control().release_capacity(piece.len())?;
        }
        Ok::<_, h2::Error>(status)
    };
    timeout(limit, work)
        .await
        .map_err(|_| Failure::Timeout)?
        .map_err(|_| Failure::Io)
}

/// Sends requests as they become due until the load is over.
pub(super) async fn run(lane: Rc<Running>, shared: Rc<Shared>) {
    while let Some(due) = lane.pacer.next().await {
        let outcome = one(&lane, &shared, due).await;
        if outcome == Err(Failure::Io) {
            // The next stream that needs it connects again.
            shared.sender.replace(None);
        }
        lane.finish(due, outcome).await;
    }
}

async fn one(lane: &Running, shared: &Shared, due: std::time::Instant) -> Result<u64, Failure> {
    let mut sender = shared.sender(lane).await?;
    let prepared = lane.choose().ok_or(Failure::Io)?;
    let mut check = BodyCheck::new(&prepared.exchange.expected.body);
    lane.sending(due);
    let status = exchange(
        &mut sender,
        &prepared.request,
        &prepared.exchange.body,
        lane.timeout,
        &mut |piece| check.piece(piece),
    )
    .await?;
    prepared.judge(status, &check)
}

async fn send_body(stream: &mut h2::SendStream<Bytes>, mut body: Bytes) -> Result<(), h2::Error> {
    while !body.is_empty() {
        stream.reserve_capacity(body.len());
        let Some(capacity) = poll_fn(|context| stream.poll_capacity(context)).await else {
            return Ok(());
        };
        let piece = body.split_to(capacity?.min(body.len()));
        stream.send_data(piece, body.is_empty())?;
    }
    Ok(())
}
