//! A gateway beside a sidecar that ends all of a sudden and comes back with what it had. The sidecar is a second
//! gateway that serves its embedded building blocks.

use std::{
    net::{SocketAddr, TcpListener},
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use anyhow::Result;
use fastrand::Rng;
use tempfile::TempDir;
use tokio::time::sleep;

use super::{PATIENCE, Run, count};
use crate::{
    Programs, http1, neighbour,
    victim::{Setup, Victim},
};

/// The sidecar, and what it is started with again.
pub(super) struct Sidecar {
    setup: Setup,
    process: Victim,
    _data: TempDir,
}

impl Sidecar {
    /// Starts a sidecar, and a gateway beside it.
    pub(super) async fn start(programs: &Programs) -> Result<(Self, Victim)> {
        // A port of the system's choice, at which it comes back.
        let listen = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let data = tempfile::tempdir()?;
        let mut setup = Setup::new(programs);
        let folder = data.path().join("data");
        setup.dapr = format!("listen = \"{listen}\"\ndata = '{}'", folder.display());
        setup.guest(neighbour::NAME, "hello", "");
        let process = Victim::start(&setup).await?;
        let mut beside = Setup::new(programs);
        beside.limits = "timeout = \"20s\"".to_owned();
        beside.dapr = format!("mode = \"sidecar\"\nsidecar = \"http://{listen}\"\nlisten = \"127.0.0.1:0\"");
        beside.guest(neighbour::NAME, "hello", "");
        beside.guest("state", "calls_dapr", "dapr = { state = [\"statestore\"] }");
        let beside = Victim::start(&beside).await?;
        let sidecar = Self {
            setup,
            process,
            _data: data,
        };
        Ok((sidecar, beside))
    }

    /// Ends and starts the sidecar again and again, until the run is over; it is there at the end.
    pub(super) async fn restarts(mut self, run: Arc<Run>, beside_admin: SocketAddr, mut random: Rng) -> Self {
        loop {
            sleep(Duration::from_millis(random.u64(3000..8000))).await;
            if run.over.load(Ordering::Relaxed) {
                return self;
            }
            run.sidecar_away.begin();
            self.process.kill();
            sleep(Duration::from_millis(random.u64(0..1500))).await;
            match Victim::start(&self.setup).await {
                Ok(process) => self.process = process,
                Err(error) => {
                    run.wrong(format!("the sidecar does not start again: {error}"));
                    return self;
                }
            }
            if !is_back(beside_admin).await {
                run.wrong(format!(
                    "the sidecar is there, and not found in {PATIENCE:?}"
                ));
                return self;
            }
            run.sidecar_away.end();
            count(&run, "sidecar");
        }
    }
}

/// Waits until the gateway has found its sidecar.
async fn is_back(admin: SocketAddr) -> bool {
    let start = Instant::now();
    while start.elapsed() < PATIENCE {
        let ready = http1::get(admin, "/readyz").await;
        if ready.is_some_and(|text| !text.contains("sidecar")) {
            return true;
        }
        sleep(Duration::from_millis(50)).await;
    }
    false
}
