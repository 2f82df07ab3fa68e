//! HTTP/1.1 by hand, for what no client library would send.

use std::net::SocketAddr;

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use super::within;

/// A TCP connection and what has been read from it beyond the last response.
pub(crate) struct RawConnection {
    stream: TcpStream,
    unread: Vec<u8>,
}

/// The head of a response and its body, by content-length or in chunks.
#[derive(Debug)]
pub(crate) struct RawResponse {
    pub(crate) head: String,
    pub(crate) body: String,
}

impl RawResponse {
    /// The status code.
    pub(crate) fn status(&self) -> u16 {
        status(&self.head)
    }

    /// A header's value.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().skip(1).find_map(|line| {
            let (found, value) = line.split_once(':')?;
            found.eq_ignore_ascii_case(name).then_some(value.trim())
        })
    }
}

impl RawConnection {
    pub(crate) async fn to(address: SocketAddr) -> Self {
        let stream = within("a connection", TcpStream::connect(address))
            .await
            .unwrap();
        Self::of(stream)
    }

    /// Over a stream that is there.
    pub(crate) fn of(stream: TcpStream) -> Self {
        Self {
            stream,
            unread: Vec::new(),
        }
    }

    /// Sends bytes; a gateway that has closed already shows in what is read next.
    pub(crate) async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        let _ = within("the gateway to read", self.stream.write_all(bytes.as_ref())).await;
    }

    /// Ends the sending side only.
    pub(crate) async fn close_sending_side(&mut self) {
        let _ = self.stream.shutdown().await;
    }

    /// The next response, its body by content-length or in chunks: which of the two it has is up to how the gateway and
    /// the guest take turns, where the guest does not say.
    pub(crate) async fn response(&mut self) -> RawResponse {
        let head = self.head().await;
        let mut response = RawResponse {
            head,
            body: String::new(),
        };
        let body = match response.header("transfer-encoding") {
            Some(_) => self.chunks().await,
            None => {
                let length = response.header("content-length");
                self.exactly(length.map_or(0, |length| length.parse().unwrap()))
                    .await
            }
        };
        response.body = String::from_utf8(body).unwrap();
        response
    }

    /// The body that follows a head, in chunks.
    pub(crate) async fn chunked_body(&mut self) -> String {
        String::from_utf8(self.chunks().await).unwrap()
    }

    async fn chunks(&mut self) -> Vec<u8> {
        let mut body = Vec::new();
        loop {
            let size = self.line().await;
            let size = usize::from_str_radix(&size, 16).unwrap();
            body.extend(self.exactly(size).await);
            assert_eq!(self.line().await, "", "the end of a chunk, and no trailer");
            if size == 0 {
                return body;
            }
        }
    }

    async fn line(&mut self) -> String {
        loop {
            if let Some(end) = self.unread.windows(2).position(|window| window == b"\r\n") {
                let line = self.exactly(end).await;
                self.exactly(2).await;
                return String::from_utf8(line).unwrap();
            }
            assert!(self.read().await, "the body breaks off");
        }
    }

    async fn exactly(&mut self, length: usize) -> Vec<u8> {
        while self.unread.len() < length {
            assert!(self.read().await, "the body breaks off");
        }
        self.unread.drain(..length).collect()
    }

    /// The next response's head alone.
    pub(crate) async fn head(&mut self) -> String {
        loop {
            if let Some(end) = self
                .unread
                .windows(4)
                .position(|window| window == b"\r\n\r\n")
            {
                let head: Vec<u8> = self.unread.drain(..end + 4).collect();
                return String::from_utf8(head).unwrap();
            }
            assert!(
                self.read().await,
                "the connection closed without a whole head"
            );
        }
    }

    /// Waits until an answer has begun, or the connection has ended without one.
    pub(crate) async fn begun(&mut self) {
        while self.unread.is_empty() && self.read().await {}
    }

    /// Returns whether anything has come that was not taken.
    pub(crate) fn has_begun(&self) -> bool {
        !self.unread.is_empty()
    }

    /// Everything up to the end of the connection, however it ends.
    pub(crate) async fn rest(mut self) -> String {
        while self.read().await {}
        String::from_utf8_lossy(&self.unread).into_owned()
    }

    /// Reads once; `false` at the end of the connection.
    async fn read(&mut self) -> bool {
        let read = within(
            "bytes from the gateway",
            self.stream.read_buf(&mut self.unread),
        )
        .await;
        read.is_ok_and(|bytes| bytes > 0)
    }
}

/// The status code in the first line of a response; 0 when there is none.
pub(crate) fn status(response: &str) -> u16 {
    let code = response
        .strip_prefix("HTTP/1.1 ")
        .and_then(|rest| rest.get(..3));
    code.and_then(|code| code.parse().ok()).unwrap_or(0)
}
