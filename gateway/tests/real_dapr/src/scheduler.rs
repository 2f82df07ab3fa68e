//! Dapr's scheduler.

use std::{net::SocketAddr, sync::Arc};

use crate::{Place, Shared, binary, process::Program};

/// The scheduler's own port.
const PORT: u16 = 50006;

/// The scheduler's only replica, by the name that it has to have in its cluster.
const ID: &str = "dapr-scheduler-server-0";

/// A scheduler that keeps jobs in its folder.
pub struct Scheduler {
    program: Program,
    place: Place,
}

impl Scheduler {
    /// Starts one that has no job.
    pub async fn start() -> Self {
        let place = Place::new();
        let address = place.address().to_string();
        let mut program = Program::new("scheduler", binary("scheduler"), &place);
        program.arguments(["--id", ID, "--listen-address", &address]);
        program.arguments(["--port", &PORT.to_string()]);
        // What it tells sidecars of where it is.
        program.arguments([
            "--override-broadcast-host-port",
            &place.at(PORT).to_string(),
        ]);
        program.arguments(["--etcd-client-listen-address", &address]);
        let peer = format!("{ID}=http://{}", place.at(2380));
        program.arguments(["--etcd-initial-cluster", &peer]);
        let data = place.folder().join("etcd").display().to_string();
        program.arguments(["--etcd-data-dir", &data]);
        // Any port, since it does not heed `--healthz-listen-address`.
        program.arguments(["--healthz-port", "0", "--enable-metrics=false"]);
        let mut scheduler = Self { program, place };
        scheduler.restart().await;
        scheduler
    }

    /// The one that the tests at work together share.
    pub async fn shared() -> Arc<Self> {
        static SHARED: Shared<Scheduler> = Shared::new();
        SHARED.get(Self::start()).await
    }

    /// The address that it listens on.
    pub fn address(&self) -> SocketAddr {
        self.place.at(PORT)
    }

    /// Ends it at once.
    pub fn kill(&mut self) {
        self.program.kill();
    }

    /// Starts it again with the jobs that it kept.
    pub async fn restart(&mut self) {
        let log = self.program.log().to_owned();
        let ready = || std::fs::read_to_string(&log).map_or(0, |log| log.matches("Cron is ready").count());
        // The log goes on from start to start.
        let before = ready();
        self.program.start(|| async { ready() > before }).await;
    }
}
