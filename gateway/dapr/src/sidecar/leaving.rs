//! Shutdown beside a sidecar: its health checks of the app fail first, and its deliveries are accepted until it has
//! noticed and has none in flight.

use std::{
    sync::atomic::{
        AtomicBool,
        Ordering::{Acquire, Release},
    },
    time::Duration,
};

use serde::Deserialize;
use tokio::{
    sync::watch,
    time::{sleep, timeout},
};

use super::client::Client;
use crate::time::parse_duration;

/// The time without a delivery under way after which none is expected any more: a sidecar that has seen the app fail
/// begins none, and this is what one on its way needs to arrive.
const QUIET: Duration = Duration::from_millis(500);

/// The time by which a check may be late on a busy machine, and the number of checks that may be lost.
const LATE: Duration = Duration::from_secs(2);
const LOST: u32 = 2;

/// The state of the end.
#[derive(Debug, Default)]
pub(super) struct Leaving {
    has_begun: AtomicBool,
    /// The checks that have failed since.
    failed: watch::Sender<u32>,
    deliveries: watch::Sender<Deliveries>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Deliveries {
    begun: u64,
    under_way: u64,
}

/// One delivery under way.
pub(super) struct UnderWay<'a>(&'a Leaving);

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.0
            .deliveries
            .send_modify(|all| all.under_way = all.under_way.saturating_sub(1));
    }
}

impl Leaving {
    /// Notes a delivery until the answer to it is there.
    pub(super) fn deliver(&self) -> UnderWay<'_> {
        self.deliveries.send_modify(|all| {
            all.begun = all.begun.wrapping_add(1);
            all.under_way = all.under_way.saturating_add(1);
        });
        UnderWay(self)
    }

    /// Has every check fail from now on.
    pub(super) fn begin(&self) {
        self.has_begun.store(true, Release);
    }

    /// Answers a check: whether the app is well.
    pub(super) fn check(&self) -> bool {
        let is_well = !self.has_begun.load(Acquire);
        if !is_well {
            self.failed
                .send_modify(|failed| *failed = failed.saturating_add(1));
        }
        is_well
    }

    /// Waits until a sidecar that checks the app has seen it fail, and until what it has delivered is done. One that is
    /// not there is asked for nothing.
    pub(super) async fn left(&self, client: &Client, is_there: bool) {
        if is_there && let Some(checks) = fetch(client).await {
            let mut failed = self.failed.subscribe();
            let noticed = failed.wait_for(|failed| *failed >= checks.threshold);
            if timeout(checks.patience(), noticed).await.is_err() {
                tracing::warn!("the sidecar has not asked often enough to know that the gateway ends");
            }
        }
        self.quiet().await;
    }

    /// Waits until nothing is under way, and nothing has come for a while.
    async fn quiet(&self) {
        let mut deliveries = self.deliveries.subscribe();
        // The sender is this value's own.
        while let Ok(idle) = deliveries
            .wait_for(|all| all.under_way == 0)
            .await
            .map(|all| *all)
        {
            sleep(QUIET).await;
            if *deliveries.borrow_and_update() == idle {
                return;
            }
        }
    }
}

/// How a sidecar checks the app.
#[derive(Debug, PartialEq, Eq)]
struct Checks {
    interval: Duration,
    threshold: u32,
}

impl Checks {
    /// The time in which it has made enough checks.
    fn patience(&self) -> Duration {
        let checks = self.threshold.saturating_add(LOST);
        self.interval.saturating_mul(checks).saturating_add(LATE)
    }

    fn read(metadata: &[u8]) -> Option<Self> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Metadata {
            app_connection_properties: Connection,
        }
        #[derive(Deserialize)]
        struct Connection {
            health: Health,
        }
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Health {
            health_probe_interval: String,
            health_threshold: u32,
        }
        let metadata: Metadata = serde_json::from_slice(metadata).ok()?;
        let health = metadata.app_connection_properties.health;
        Some(Self {
            interval: parse_duration(&health.health_probe_interval).ok()?,
            threshold: health.health_threshold,
        })
    }
}

/// Asks the sidecar how it checks the app; none if it does not, or does not answer.
async fn fetch(client: &Client) -> Option<Checks> {
    Checks::read(&client.get("/v1.0/metadata").await?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checks_are_read_from_the_sidecars_metadata() {
        let metadata = br#"{"id":"wasmgate","appConnectionProperties":{"port":3001,"protocol":"http","health":
            {"healthCheckPath":"/healthz","healthProbeInterval":"1s","healthProbeTimeout":"500ms","healthThreshold":3}}}"#;
        let checks = Checks::read(metadata).unwrap();
        assert_eq!(
            (checks.interval, checks.threshold),
            (Duration::from_secs(1), 3)
        );
        assert_eq!(checks.patience(), Duration::from_secs(7));
        for without in [
            r#"{"appConnectionProperties":{"port":3001}}"#,
            r#"{"id":"a"}"#,
            "no",
        ] {
            assert_eq!(Checks::read(without.as_bytes()), None, "{without}");
        }
    }

    #[tokio::test]
    async fn what_begins_while_it_is_quiet_is_waited_for() {
        let leaving = Leaving::default();
        assert!(leaving.check());
        leaving.begin();
        assert!(!leaving.check() && *leaving.failed.borrow() == 1);
        let first = leaving.deliver();
        let quiet = leaving.quiet();
        tokio::pin!(quiet);
        assert!(timeout(QUIET * 2, &mut quiet).await.is_err());
        drop(first);
        // It begins to be quiet, and then it is not.
        assert!(timeout(Duration::ZERO, &mut quiet).await.is_err());
        let second = leaving.deliver();
        assert!(timeout(QUIET * 2, &mut quiet).await.is_err());
        drop(second);
        quiet.await;
    }
}
