//! Another configuration every few seconds: no request may notice it, so that nothing is forgiven for it.

use std::{
    fs,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use fastrand::Rng;
use rustix::process::{Pid, Signal, kill_process};
use tokio::time::sleep;

use super::{Run, count};
use crate::victim::{Setup, Site};

/// Has the gateway read another configuration now and then, until the run is over: one package with another
/// environment, and another that comes and goes.
pub(super) async fn run(run: Arc<Run>, site: Site, setup: Setup, mut random: Rng) {
    let Some(pid) = i32::try_from(site.pid).ok().and_then(Pid::from_raw) else {
        return;
    };
    for round in 0_u32.. {
        sleep(Duration::from_millis(random.u64(2000..5000))).await;
        if run.over.load(Ordering::Relaxed) {
            return;
        }
        let mut setup = setup.clone();
        if let Some((_, _, lines)) = setup.packages.iter_mut().find(|(name, ..)| name == "echo") {
            *lines = format!("env = {{ ROUND = \"{round}\" }}");
        }
        if round.is_multiple_of(2) {
            setup.guest("guest-of-a-day", "hello", "");
        }
        let next = site.file.with_extension("next");
        let written = fs::write(&next, setup.toml(site.port)).and_then(|()| fs::rename(&next, &site.file));
        if written.is_ok() && kill_process(pid, Signal::HUP).is_ok() {
            count(&run, "reload");
        }
    }
}
