//! Redis that keeps every write before it acknowledges it.

use std::net::SocketAddr;

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use crate::{Place, process::Program};

/// Redis' own port.
const PORT: u16 = 6379;

/// A Redis with `appendonly yes` and `appendfsync always`.
pub struct Redis {
    program: Program,
    place: Place,
}

impl Redis {
    /// The password it asks for.
    pub const PASSWORD: &str = "of-the-test";

    /// Starts one that is empty.
    pub async fn start() -> Self {
        let place = Place::new();
        let mut program = Program::new("redis-server", "redis-server", &place);
        let [address, folder] = [
            place.address().to_string(),
            place.folder().display().to_string(),
        ];
        program.arguments(["--bind", &address, "--port", &PORT.to_string()]);
        program.arguments([
            "--dir",
            &folder,
            "--save",
            "",
            "--requirepass",
            Self::PASSWORD,
        ]);
        program.arguments(["--appendonly", "yes", "--appendfsync", "always"]);
        let mut redis = Self { program, place };
        redis.restart().await;
        redis
    }

    /// The address that it listens on.
    pub fn address(&self) -> SocketAddr {
        self.place.at(PORT)
    }

    /// Ends it at once.
    pub fn kill(&mut self) {
        self.program.kill();
    }

    /// Starts it again with what it kept.
    pub async fn restart(&mut self) {
        let address = self.address();
        self.program
            .start(|| async move {
                let answer = command(address, "PING").await;
                answer.is_some_and(|answer| answer.contains("+PONG"))
            })
            .await;
    }

    /// The answer to a command, as Redis writes it; at most 64 KiB.
    pub async fn call(&self, line: &str) -> String {
        let answer = command(self.address(), line).await;
        answer.expect("Redis answers")
    }
}

async fn command(address: SocketAddr, line: &str) -> Option<String> {
    let mut stream = TcpStream::connect(address).await.ok()?;
    let all = format!("AUTH {}\r\n{line}\r\nQUIT\r\n", Redis::PASSWORD);
    stream.write_all(all.as_bytes()).await.ok()?;
    let mut answer = Vec::new();
    stream.take(64 << 10).read_to_end(&mut answer).await.ok()?;
    Some(String::from_utf8_lossy(&answer).into_owned())
}
