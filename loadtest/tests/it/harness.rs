//! The native server as a child, and a server that stalls on purpose.

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
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("an address");
    let first = Arc::new(Mutex::new(None));
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let first = Arc::clone(&first);
            thread::spawn(move || answer(stream, from, until, &first));
        }
    });
    address
}

fn answer(mut stream: TcpStream, from: Duration, until: Duration, first: &Mutex<Option<Instant>>) {
    let mut request = [0u8; 1024];
    while stream.read(&mut request).is_ok_and(|read| read > 0) {
        let first = *first
            .lock()
            .expect("no thread panics")
            .get_or_insert_with(Instant::now);
        let since = first.elapsed();
        if since >= from && since < until {
            thread::sleep(until - since);
        }
        let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi";
        if stream.write_all(answer).is_err() {
            return;
        }
    }
}
