//! A server that does what a script says, by the byte.

use std::{
    future::Future,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};

/// A server on a free port of the loopback interface whose script gets each connection and its number, from 0.
pub(crate) struct Scripted {
    pub(crate) address: SocketAddr,
    connections: Arc<AtomicUsize>,
}

impl Scripted {
    pub(crate) async fn start<F>(script: impl Fn(Peer, usize) -> F + Send + 'static) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let connections = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&connections);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let number = counter.fetch_add(1, Ordering::Relaxed);
                tokio::spawn(script(Peer(stream), number));
            }
        });
        Self {
            address,
            connections,
        }
    }

    /// `http://address`.
    pub(crate) fn origin(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Returns the number of connections that were made so far.
    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }
}

/// The other end of a scripted server's connection.
pub(crate) struct Peer(pub(crate) TcpStream);

impl Peer {
    /// Reads up to the end of a head and gives it; empty when the peer has gone.
    pub(crate) async fn head(&mut self) -> String {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            match self.0.read_u8().await {
                Ok(byte) => head.push(byte),
                Err(_) => return String::new(),
            }
        }
        String::from_utf8(head).unwrap()
    }

    /// Sends bytes to a peer that may have gone.
    pub(crate) async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        let _ = self.0.write_all(bytes.as_ref()).await;
    }

    /// Sends bytes; `false` when the peer has gone.
    pub(crate) async fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        self.0.write_all(bytes.as_ref()).await.is_ok()
    }

    /// Waits for the peer to close.
    pub(crate) async fn gone(&mut self) {
        let mut rest = [0; 1024];
        while matches!(self.0.read(&mut rest).await, Ok(1..)) {}
    }
}
