//! HTTP/1.1 over a bare socket: prepared bytes out, the least parsing in. The
//! generator shares its cores with the server, so what it saves it measures.

use std::{net::SocketAddr, pin::Pin, rc::Rc, time::Duration};

use bytes::BytesMut;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::{Instant, Sleep, sleep, timeout},
};

use super::{lane::Running, response::Response};
use crate::{stats::Failure, workload::BodyCheck};

/// One read takes what the kernel has, up to this: a large body in few calls.
const READ_BUFFER_BYTES: usize = 64 * 1024;

/// One keep-alive connection.
pub(super) struct Connection {
    stream: TcpStream,
    buffer: BytesMut,
    /// Set anew only when it fires, so that a request costs no timer.
    alarm: Pin<Box<Sleep>>,
    keep_alive: bool,
}

impl Connection {
    pub(super) async fn open(address: SocketAddr, limit: Duration) -> Result<Self, Failure> {
        let stream = timeout(limit, TcpStream::connect(address))
            .await
            .map_err(|_| Failure::Connect)?
            .map_err(|_| Failure::Connect)?;
        stream.set_nodelay(true).map_err(|_| Failure::Connect)?;
        Ok(Self {
            stream,
            buffer: BytesMut::with_capacity(READ_BUFFER_BYTES),
            alarm: Box::pin(sleep(limit)),
            keep_alive: true,
        })
    }

    /// Sends prepared bytes and reads one response; its status.
    pub(super) async fn exchange(
        &mut self,
        wire: &[u8],
        limit: Duration,
        on_body: &mut impl FnMut(&[u8]),
    ) -> Result<u16, Failure> {
        let deadline = Instant::now() + limit;
        let work = exchange(&mut self.stream, &mut self.buffer, wire, on_body);
        tokio::pin!(work);
        let response = loop {
            tokio::select! {
                biased;
                outcome = &mut work => break outcome?,
                () = self.alarm.as_mut() => {
                    if Instant::now() >= deadline {
                        return Err(Failure::Timeout);
                    }
                    self.alarm.as_mut().reset(deadline);
                }
            }
        };
        self.keep_alive = response.keep_alive;
        Ok(response.status)
    }

    /// Returns whether the server takes another request on it.
    pub(super) fn is_kept_alive(&self) -> bool {
        self.keep_alive
    }
}

/// Sends requests as they become due until the load is over.
pub(super) async fn run(lane: Rc<Running>, mut connection: Option<Connection>) {
    while let Some(due) = lane.pacer.next().await {
        let outcome = one(&lane, &mut connection, due.into()).await;
        lane.finish(due, outcome).await;
    }
}

async fn one(lane: &Running, slot: &mut Option<Connection>, due: Instant) -> Result<u64, Failure> {
    // Out of its slot while in use, so that a failure drops it.
    let mut connection = match slot.take() {
        Some(connection) => connection,
        None => Connection::open(lane.target.address, lane.timeout).await?,
    };
    let prepared = lane.choose().ok_or(Failure::Io)?;
    let mut body = BodyCheck::new(&prepared.exchange.expected.body);
    lane.sending(due.into_std());
    let status = connection
        .exchange(&prepared.wire, lane.timeout, &mut |piece| body.piece(piece))
        .await?;
    if connection.is_kept_alive() {
        *slot = Some(connection);
    }
    prepared.judge(status, &body)
}

async fn exchange(
    stream: &mut TcpStream,
    buffer: &mut BytesMut,
    wire: &[u8],
    on_body: &mut impl FnMut(&[u8]),
) -> Result<Response, Failure> {
    let mut response = Response::new();
    // A server may refuse a large body and close while it is still being
    // sent; its answer says more than the broken pipe.
    let sent = stream.write_all(wire).await;
    loop {
        buffer.reserve(READ_BUFFER_BYTES / 4);
        let read = stream.read_buf(buffer).await.map_err(|_| Failure::Io)?;
        if read == 0 {
            return response.closed().then_some(response).ok_or(Failure::Io);
        }
        if response.advance(buffer, on_body).map_err(|_| Failure::Io)? {
            response.keep_alive &= sent.is_ok();
            return Ok(response);
        }
    }
}
