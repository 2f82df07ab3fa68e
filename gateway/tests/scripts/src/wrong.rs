//! What a program of CGI can do wrong.

use std::{
    io::{self, Read as _, Write as _},
    process,
};

use super::{PLAIN, print};

/// Does what the path says.
pub(super) fn run(path: &str, number: u32) -> io::Result<()> {
    match path {
        "/prints-nothing" => Ok(()),
        "/prints-no-header" => print("Hello, world\n"),
        "/prints-a-word" => print("Hello"),
        "/ends-within-its-head" => print("Content-Type: text/plain\n"),
        "/prints-a-status-line" => print("HTTP/1.1 200 OK\nContent-Type: text/plain\n\nbody"),
        "/says-no-type" => print("Status: 200\n\nbody"),
        "/folds" => print("Content-Type: text/plain\n folded\n\n"),
        "/splits" => print("Content-Type: text/plain\rSet-Cookie: stolen=1\n\nbody"),
        "/has-a-zero-byte" => print("Content-Type: text/plain\nX-A: a\0b\n\nbody"),
        "/says-it-is-chunked" => print("Content-Type: text/plain\nTransfer-Encoding: chunked\n\n3\r\nabc\r\n0\r\n\r\n"),
        "/is-too-long" => print("Content-Type: text/plain\nContent-Length: 3\n\nabcdef"),
        "/is-too-short" => print("Content-Type: text/plain\nContent-Length: 30\n\nabcdef"),
        "/never-ends-its-head" => endlessly(&format!("X-A: {}\n", "a".repeat(100))),
        "/never-ends-its-line" => endlessly("a"),
        "/never-ends" => {
            print(PLAIN)?;
            endlessly("more ")
        }
        "/never-ends-its-errors" => loop {
            eprintln!("once more");
        },
        "/spins" => loop {
            std::hint::spin_loop();
        },
        "/waits" => {
            let mut rest = Vec::new();
            io::stdin().read_to_end(&mut rest)?;
            print(PLAIN)
        }
        "/allocates" => {
            let mut all = Vec::new();
            loop {
                all.push(vec![1_u8; 1 << 20]);
            }
        }
        "/traps" => process::abort(),
        "/traps-within" => {
            print(PLAIN)?;
            // More than is sent in one write.
            io::stdout().write_all(&vec![b'x'; (number as usize) << 20])?;
            process::abort()
        }
        _ => print("Status: 404\nContent-Type: text/plain\n\nno such thing"),
    }
}

fn endlessly(text: &str) -> io::Result<()> {
    let text = text.repeat(1000);
    loop {
        print(&text)?;
    }
}
