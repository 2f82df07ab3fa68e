//! The native server as a child, and servers that answer as a test needs.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    path::Path,
    sync::{Arc, Mutex},
    thread,
    time::{Duration, Instant},
};

use wasmgate_loadtest::peers::{Launch, Peer};

pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_wasmgate-loadtest");

/// The native server, ended when dropped.
pub(crate) fn native() -> Peer {
    Launch {
        name: "native".to_owned(),
        program: PROGRAM.into(),
        arguments: vec!["native".into(), "--hello".into(), "hi\n".into()],
        directory: None,
    }
    .start(Path::new(PROGRAM))
    .expect("the native server starts")
}

/// Answers at once, except in the window between `from` and `until` after the
/// first request, when every answer waits for the window's end.
pub(crate) fn stalling_server(from: Duration, until: Duration) -> SocketAddr {
    let first = Mutex::new(None);
    server(move |_| {
        let first = *first
            .lock()
            .expect("no thread panics")
            .get_or_insert_with(Instant::now);
        let since = first.elapsed();
        if since >= from && since < until {
            thread::sleep(until - since);
        }
        (200, "hi".to_owned())
    })
}

/// Answers each request, given as its text, with a status and a body. Requests
/// are small: each arrives in one piece.
pub(crate) fn server(answer: impl Fn(&str) -> (u16, String) + Send + Sync + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("an address");
    let answer = Arc::new(answer);
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let answer = Arc::clone(&answer);
            thread::spawn(move || converse(stream, &*answer));
        }
    });
    address
}

fn converse(mut stream: TcpStream, answer: &impl Fn(&str) -> (u16, String)) {
    let mut request = [0u8; 4096];
    while let Ok(read @ 1..) = stream.read(&mut request) {
        let (status, body) = answer(&String::from_utf8_lossy(&request[..read]));
        let length = body.len();
        let answer = format!("HTTP/1.1 {status} X\r\ncontent-length: {length}\r\n\r\n{body}");
        if stream.write_all(answer.as_bytes()).is_err() {
            return;
        }
    }
}
