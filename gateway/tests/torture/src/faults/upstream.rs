//! A server outside, which fails now and then.

use std::{io, net::SocketAddr, time::Duration};

use fastrand::Rng;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    time::sleep,
};

/// A whole answer.
const WHOLE: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 8\r\n\r\nupstream";

/// Serves until the runtime ends: most requests well, and some not at all, or half, or never.
pub(super) async fn start(mut random: Rng) -> io::Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let random = random.fork();
            tokio::spawn(async move { serve(stream, random).await });
        }
    });
    Ok(address)
}

async fn serve(mut stream: TcpStream, mut random: Rng) -> io::Result<()> {
    let mut request = [0; 4096];
    while stream.read(&mut request).await? > 0 {
        match random.u8(0..20) {
            0 => return Ok(()),
            1 => {
                let half = WHOLE.get(..random.usize(1..WHOLE.len())).unwrap_or(WHOLE);
                return stream.write_all(half).await;
            }
            2 => return socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO)),
            3 => sleep(Duration::from_secs(2)).await,
            _ => stream.write_all(WHOLE).await?,
        }
    }
    Ok(())
}
