//! PostgreSQL from Debian's package.

use std::{net::SocketAddr, path::PathBuf, process::Command, sync::Arc};

use crate::{
    Place, Shared,
    process::{Program, command},
};

/// PostgreSQL's own port.
const PORT: u16 = 5432;

/// The folder in which Debian keeps the programs of each version.
const VERSIONS: &str = "/usr/lib/postgresql";

/// A PostgreSQL with one database and no password.
pub struct Postgres {
    program: Program,
    place: Place,
}

impl Postgres {
    /// Starts one that is empty.
    pub async fn start() -> Self {
        let place = Place::new();
        let folder = place.folder().join("data");
        std::fs::create_dir(&folder).unwrap();
        let user = user();
        if let Some(user) = user {
            run(Command::new("chown").arg(user).arg(&folder));
        }
        let folder = folder.display().to_string();
        let options = ["-D", &folder, "-A", "trust", "-U", "postgres", "--no-sync"];
        run(command(&program("initdb"), user)
            .args(options)
            .current_dir("/"));
        let mut server = Program::new("postgres", program("postgres"), &place);
        server.user(user);
        server.arguments(["-D", &folder, "-p", &PORT.to_string()]);
        server.arguments(["-h", &place.address().to_string(), "-k", ""]);
        // In its folder: in /dev/shm a megabyte would stay there of each that is killed.
        server.arguments(["-c", "dynamic_shared_memory_type=mmap"]);
        let mut postgres = Self {
            program: server,
            place,
        };
        postgres.restart().await;
        postgres
    }

    /// The one that the tests at work together share.
    pub async fn shared() -> Arc<Self> {
        static SHARED: Shared<Postgres> = Shared::new();
        SHARED.get(Self::start()).await
    }

    /// The address that it listens on.
    pub fn address(&self) -> SocketAddr {
        self.place.at(PORT)
    }

    /// The value of `connectionString` in Dapr's components.
    pub fn connection_string(&self) -> String {
        format!(
            "host={} port={PORT} user=postgres dbname=postgres sslmode=disable",
            self.place.address()
        )
    }

    /// Ends it as a crash does, processes of its clients included ("Immediate Shutdown"): what was committed has to
    /// be recovered at the next start.
    pub fn crash(&mut self) {
        self.program.end_by("QUIT");
    }

    /// Starts it again with what it kept.
    pub async fn restart(&mut self) {
        let mut ready = Command::new(program("pg_isready"));
        let host = self.place.address().to_string();
        ready.args(["-q", "-h", &host, "-p", &PORT.to_string()]);
        let ready = std::sync::Mutex::new(ready);
        self.program
            .start(|| async { ready.lock().unwrap().status().unwrap().success() })
            .await;
    }

    /// The rows that a query gives, as text without headings.
    pub fn query(&self, sql: &str) -> String {
        let mut psql = Command::new(program("psql"));
        let output = psql
            .args([
                "-X",
                "-q",
                "-t",
                "-A",
                "-d",
                &self.connection_string(),
                "-c",
                sql,
            ])
            .output()
            .unwrap();
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{sql}: {error}");
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }
}

/// The user that Debian's package makes, if this process is root's: PostgreSQL refuses to be.
fn user() -> Option<&'static str> {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let root = status.lines().any(|line| line.starts_with("Uid:\t0\t"));
    root.then_some("postgres")
}

/// A program of the newest PostgreSQL there is.
fn program(name: &str) -> PathBuf {
    let folders = std::fs::read_dir(VERSIONS).into_iter().flatten().flatten();
    let mut found: Vec<_> = folders
        .map(|version| version.path().join("bin").join(name))
        .filter(|program| program.is_file())
        .collect();
    found.sort();
    found
        .pop()
        .unwrap_or_else(|| panic!("no {name} below {VERSIONS}: install postgresql"))
}

fn run(command: &mut Command) {
    let output = command
        .output()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {error}");
}
