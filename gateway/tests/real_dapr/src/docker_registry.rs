//! The registry of Docker's distribution, as Debian has it.

use std::{
    fmt::Write as _,
    fs,
    io::{Read as _, Write as _},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Command,
    sync::atomic::{AtomicUsize, Ordering},
    time::Instant,
};

use tokio::net::TcpStream;

use crate::{LOOK_AGAIN, PATIENCE, Place, left_out, process::Program};

/// The port that registries have everywhere.
const PORT: u16 = 5000;

/// What the questions have in their target by which the end of the log is found.
const MARK: &str = "mark-";

/// A registry that keeps what is pushed in a folder.
pub struct DockerRegistry {
    program: Program,
    place: Place,
    settings: String,
    marks: AtomicUsize,
}

impl DockerRegistry {
    /// One that takes everything from everybody by plain HTTP; `None`, and it is said, where the program is missing.
    pub fn new() -> Option<Self> {
        let there = Command::new("docker-registry").arg("--version").output();
        if there.is_err() {
            left_out("it needs Debian's package docker-registry");
            return None;
        }
        let place = Place::new();
        let mut program = Program::new("docker-registry", "docker-registry", &place);
        let file = place.folder().join("registry.yml");
        program.arguments(["serve", &file.display().to_string()]);
        Some(Self {
            program,
            place,
            settings: String::new(),
            marks: AtomicUsize::new(0),
        })
    }

    /// Asks for this name and this password.
    pub fn with_password(mut self, user: &str, password: &str) -> Self {
        let made = Command::new("htpasswd")
            .args(["-Bbn", user, password])
            .output();
        let made = made.expect("htpasswd of Debian's package apache2-utils");
        let file = self.place.folder().join("htpasswd");
        fs::write(&file, made.stdout).unwrap();
        let _ = writeln!(
            self.settings,
            "auth: {{htpasswd: {{realm: test, path: {}}}}}",
            file.display()
        );
        self
    }

    /// Shows this certificate.
    pub fn with_tls(mut self, certificate: &Path, key: &Path) -> Self {
        let _ = writeln!(
            self.settings,
            "  tls: {{certificate: {}, key: {}}}",
            certificate.display(),
            key.display()
        );
        self
    }

    /// Starts it, with what it kept.
    pub async fn start(&mut self) {
        let (address, folder) = (self.address(), self.place.folder());
        // What is said of TLS is indented, and belongs to `http` above it.
        let settings = format!(
            "version: 0.1\nlog: {{accesslog: {{disabled: false}}}}\n\
             storage: {{filesystem: {{rootdirectory: {}}}, delete: {{enabled: true}}}}\n\
             http:\n  addr: {address}\n{}",
            folder.join("data").display(),
            self.settings
        );
        fs::write(folder.join("registry.yml"), settings).unwrap();
        self.program
            .start(|| async move { TcpStream::connect(address).await.is_ok() })
            .await;
    }

    /// Ends it at once.
    pub fn kill(&mut self) {
        self.program.kill();
    }

    /// The address that it listens on.
    pub fn address(&self) -> SocketAddr {
        self.place.at(PORT)
    }

    /// The file of a blob, by the digits of its digest.
    pub fn blob(&self, digest: &str) -> PathBuf {
        let blobs = self
            .place
            .folder()
            .join("data/docker/registry/v2/blobs/sha256");
        blobs.join(&digest[..2]).join(digest).join("data")
    }

    /// The requests so far whose lines in its log have these words.
    pub fn requests(&self, words: &str) -> usize {
        let log = self.log();
        log.lines()
            .filter(|line| line.contains("HTTP/1.1\" ") && line.contains(words) && !line.contains(MARK))
            .count()
    }

    /// Its log with all that was asked so far: a line comes a moment after its answer, so that one more question is
    /// asked and waited for.
    fn log(&self) -> String {
        let mark = format!("{MARK}{}", self.marks.fetch_add(1, Ordering::Relaxed));
        let ask = format!("GET /v2/?{mark}- HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
        let mut connection = std::net::TcpStream::connect(self.address()).unwrap();
        connection.write_all(ask.as_bytes()).unwrap();
        connection.read_to_end(&mut Vec::new()).unwrap();
        let deadline = Instant::now() + PATIENCE;
        loop {
            let log = fs::read_to_string(self.program.log()).unwrap_or_default();
            if log.contains(&format!("{mark}-")) {
                return log;
            }
            assert!(Instant::now() < deadline, "the registry logs nothing");
            std::thread::sleep(LOOK_AGAIN);
        }
    }
}
