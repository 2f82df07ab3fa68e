//! HTTP/1.1 as the good package's clients speak it, and an eye for what an attacker got.

use std::{io, net::SocketAddr, time::Duration};

use socket2::{Domain, Protocol, SockAddr, Socket, Type};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpSocket, TcpStream},
    time::timeout,
};

/// The longest answer that is looked at.
const LONGEST: usize = 4 << 20;

/// Connects from an address of this machine's own, with a receive buffer of a size if that matters.
pub(crate) async fn connect(from: SocketAddr, to: SocketAddr, window: Option<usize>) -> io::Result<TcpStream> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::TCP))?;
    socket.set_nonblocking(true)?;
    if let Some(bytes) = window {
        socket.set_recv_buffer_size(bytes)?;
    }
    socket.bind(&SockAddr::from(from))?;
    let socket = TcpSocket::from_std_stream(socket.into());
    let stream = socket.connect(to).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// The whole answer to a GET on a connection of its own, its head left out; none if there is none.
pub(crate) async fn get(address: SocketAddr, path: &str) -> Option<String> {
    let request = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
    let exchange = async {
        let mut stream = TcpStream::connect(address).await?;
        stream.write_all(request.as_bytes()).await?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await?;
        io::Result::Ok(answer)
    };
    let answer = timeout(Duration::from_secs(20), exchange)
        .await
        .ok()?
        .ok()?;
    let answer = String::from_utf8_lossy(&answer);
    answer
        .split_once("\r\n\r\n")
        .map(|(_, body)| body.to_owned())
}

/// Reads up to the end of the connection, or until nothing more is of interest.
pub(crate) async fn read_to_end(stream: &mut TcpStream, patience: Duration) -> (Vec<u8>, bool) {
    let mut answer = Vec::new();
    let ended = timeout(patience, async {
        while answer.len() < LONGEST {
            match stream.read_buf(&mut answer).await {
                Ok(0) | Err(_) => return true,
                Ok(_) => {}
            }
        }
        true
    })
    .await;
    (answer, ended.is_ok())
}

/// What an answer was, in a word or two: its status, the gateway's own reason, and whether it breaks off.
pub(crate) fn told(answer: &[u8], ended: bool) -> String {
    let text = String::from_utf8_lossy(answer);
    let Some(status) = status(&text) else {
        return if ended { "closed" } else { "silent" }.to_owned();
    };
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
    let mut told = status.to_owned();
    if let Some(reason) = header(head, "x-wasmgate-error") {
        told = format!("{told} {reason}");
    }
    let length: Option<usize> = header(head, "content-length").and_then(|length| length.parse().ok());
    let chunked = header(head, "transfer-encoding").is_some();
    let cut = length.is_some_and(|length| body.len() < length) || chunked && !text.ends_with("\r\n\r\n");
    if cut && answer.len() < LONGEST {
        told.push_str(if ended { " cut" } else { " unfinished" });
    }
    told
}

/// The status of an answer.
pub(crate) fn status(answer: &str) -> Option<&str> {
    let rest = answer
        .strip_prefix("HTTP/1.1 ")
        .or_else(|| answer.strip_prefix("HTTP/1.0 "))?;
    rest.get(..3)
}

fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.lines().find_map(|line| {
        let (found, value) = line.split_once(':')?;
        found.eq_ignore_ascii_case(name).then_some(value.trim())
    })
}

/// A client that keeps its connection as long as it can.
#[derive(Debug)]
pub(crate) struct Client {
    address: SocketAddr,
    stream: Option<TcpStream>,
}

impl Client {
    pub(crate) fn new(address: SocketAddr) -> Self {
        Self {
            address,
            stream: None,
        }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// The status and the body of the answer to a request.
    pub(crate) async fn ask(&mut self, request: &[u8]) -> io::Result<(u16, Vec<u8>)> {
        let mut stream = match self.stream.take() {
            Some(stream) if !is_closed(&stream) => stream,
            _ => TcpStream::connect(self.address).await?,
        };
        stream.write_all(request).await?;
        let mut answer = Vec::new();
        loop {
            if stream.read_buf(&mut answer).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            if let Some((status, body, stays)) = whole(&answer) {
                self.stream = stays.then_some(stream);
                return Ok((status, body));
            }
        }
    }

    /// Sends a request, waits for a part of its answer or for a while, and goes with a reset.
    pub(crate) async fn abandon(&mut self, request: &[u8], after: Duration) -> io::Result<()> {
        let mut stream = TcpStream::connect(self.address).await?;
        socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO))?;
        stream.write_all(request).await?;
        let _ = timeout(after, stream.read(&mut [0; 1024])).await;
        Ok(())
    }
}

/// Returns whether the other side has closed a connection between two requests, as it may when it was quiet for long.
fn is_closed(stream: &TcpStream) -> bool {
    let read = stream.try_read(&mut [0]);
    !read.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
}

/// Status and body of an answer that is whole, and whether its connection stays.
fn whole(answer: &[u8]) -> Option<(u16, Vec<u8>, bool)> {
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n")?;
    let (head, body) = answer.split_at(end + 4);
    let head = String::from_utf8_lossy(head);
    let status = status(&head)?.parse().ok()?;
    let stays = header(&head, "connection").is_none_or(|value| value != "close");
    if let Some(length) = header(&head, "content-length") {
        let length: usize = length.parse().ok()?;
        return Some((status, body.get(..length)?.to_vec(), stays));
    }
    if status == 204 || status == 304 {
        return Some((status, Vec::new(), stays));
    }
    let (mut rest, mut all) = (body, Vec::new());
    loop {
        let line = rest.windows(2).position(|two| two == b"\r\n")?;
        let size = std::str::from_utf8(rest.get(..line)?).ok()?;
        let size = usize::from_str_radix(size, 16).ok()?;
        rest = rest.get(line + 2..)?;
        if size == 0 {
            return rest.ends_with(b"\r\n").then_some((status, all, stays));
        }
        all.extend(rest.get(..size)?);
        rest = rest.get(size + 2..)?;
    }
}
