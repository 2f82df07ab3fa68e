//! Dapr's sidecar.

use std::{net::SocketAddr, path::PathBuf};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use crate::{Place, Resources, Scheduler, binary, process::Program, until};

/// The sidecar's own ports.
const HTTP: u16 = 3500;
const GRPC: u16 = 50001;
const INTERNAL: u16 = 50002;

/// A sidecar. It finds no other sidecars.
pub struct Daprd {
    program: Program,
    place: Place,
    scheduler: bool,
}

impl Daprd {
    /// A sidecar to be described further and started, of an app that need not be unique: nothing is shared with others
    /// but what the components name.
    pub fn new(app_id: &str, resources: &Resources) -> Self {
        let place = Place::new();
        let folder = place.folder().join("resources");
        std::fs::create_dir(&folder).unwrap();
        resources.write_to(&folder);
        let address = place.address().to_string();
        let mut program = Program::new("daprd", binary("daprd"), &place);
        program.arguments(["--app-id", app_id, "--resources-path"]);
        program.arguments([folder.display().to_string()]);
        program.arguments(["--dapr-listen-addresses", &address]);
        program.arguments(["--dapr-internal-grpc-listen-address", &address]);
        for (flag, port) in [
            ("--dapr-http-port", HTTP),
            ("--dapr-grpc-port", GRPC),
            ("--dapr-internal-grpc-port", INTERNAL),
        ] {
            program.arguments([flag, &port.to_string()]);
        }
        program.arguments(["--enable-metrics=false"]);
        program.environment("DAPR_HOST_IP", &address);
        let daprd = Self {
            program,
            place,
            scheduler: false,
        };
        let names = daprd.place.folder().join("names.db");
        daprd.names(names)
    }

    /// Sets the address of the app; nothing is asked of an app without it.
    pub fn app(mut self, address: SocketAddr) -> Self {
        self.program
            .arguments(["--app-channel-address", &address.ip().to_string()]);
        self.program
            .arguments(["--app-port", &address.port().to_string()]);
        self
    }

    /// More of the command line.
    pub fn flags<'a>(mut self, flags: impl IntoIterator<Item = &'a str>) -> Self {
        self.program.arguments(flags);
        self
    }

    /// A variable of its environment, such as `DAPR_API_TOKEN` and `APP_API_TOKEN`.
    pub fn environment(mut self, name: &str, value: &str) -> Self {
        self.program.environment(name, value);
        self
    }

    /// A document of kind `Configuration`.
    pub fn configuration(mut self, yaml: &str) -> Self {
        let folder = self.place.folder();
        let number = std::fs::read_dir(folder).unwrap().count();
        let file = folder.join(format!("configuration-{number}.yaml"));
        std::fs::write(&file, yaml).unwrap();
        self.program
            .arguments(["--config", &file.display().to_string()]);
        self
    }

    /// The scheduler that keeps its jobs.
    pub fn scheduler(mut self, scheduler: &Scheduler) -> Self {
        let address = scheduler.address().to_string();
        self.program
            .arguments(["--scheduler-host-address", &address]);
        self.scheduler = true;
        self
    }

    /// The address of its HTTP API, now or later.
    pub fn http(&self) -> SocketAddr {
        self.place.at(HTTP)
    }

    /// Starts it and waits until it answers, with all components loaded. It may still look for its app.
    pub async fn start(&mut self) {
        let address = self.http();
        let log = self.program.log().to_owned();
        let connected =
            || std::fs::read_to_string(&log).map_or(0, |log| log.matches("Scheduler stream connected").count());
        // The log goes on from start to start.
        let before = connected();
        let scheduler = self.scheduler;
        self.program
            .start(|| async {
                let there = status(address, "/v1.0/healthz/outbound").await == Some(204);
                there && (!scheduler || connected() > before)
            })
            .await;
    }

    /// Waits until it has found its app and subscribed for it.
    pub async fn ready(&self) {
        let address = self.http();
        until("daprd to find its app", || async move {
            status(address, "/v1.0/healthz").await == Some(204)
        })
        .await;
    }

    /// Tells it to end, and waits until it has.
    pub fn terminate(&mut self) {
        self.program.end_by("TERM");
    }

    /// Ends it at once.
    pub fn kill(&mut self) {
        self.program.kill();
    }

    /// The output of all its processes.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.program.log()).unwrap_or_default()
    }

    /// Keeps the names of apps in this file instead of asking the network for them.
    fn names(self, file: PathBuf) -> Self {
        let yaml = format!(
            "apiVersion: dapr.io/v1alpha1\nkind: Configuration\nmetadata: {{name: names}}\nspec:\n  nameResolution:\n    \
             component: sqlite\n    configuration: {{connectionString: '{}'}}\n",
            file.display()
        );
        self.configuration(&yaml)
    }
}

/// The status of a GET, if there is an answer.
async fn status(address: SocketAddr, path: &str) -> Option<u16> {
    let mut stream = TcpStream::connect(address).await.ok()?;
    let request = format!("GET {path} HTTP/1.1\r\nhost: dapr\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.ok()?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.ok()?;
    let answer = String::from_utf8_lossy(&answer);
    answer.split(' ').nth(1)?.parse().ok()
}
