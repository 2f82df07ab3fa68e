//! One thread of a load: its connections share a pacer, a chooser and a result.

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    sync::{Arc, Barrier},
    time::{Duration, Instant},
};

use bytes::Bytes;
use tokio::task::JoinSet;

use super::{LoadError, h1, h2, pacer::Pacer};
use crate::{
    plan::{Plan, Protocol},
    progress::Live,
    stats::{Failure, Measurement},
    target::Target,
    workload::{BodyCheck, Chooser, Exchange, Workload},
};

/// A closed loop that cannot connect would spin; an open one is paced anyway.
const RECONNECT_PAUSE: Duration = Duration::from_millis(20);

/// One thread's part of the load.
pub(super) struct Share {
    pub(super) index: usize,
    pub(super) threads: usize,
    pub(super) target: Target,
    pub(super) workload: Arc<Workload>,
    pub(super) plan: Plan,
    pub(super) ready: Arc<Barrier>,
    pub(super) live: Arc<Live>,
}

/// One exchange, prepared for both protocols.
pub(super) struct Prepared {
    pub(super) exchange: Exchange,
    pub(super) wire: Bytes,
    pub(super) request: http::Request<()>,
}

/// One thread's load before it begins.
pub(super) struct Lane {
    share: Share,
    prepared: Vec<Prepared>,
    seen: Measurement,
}

/// State that the connections of a thread share while the load runs.
pub(super) struct Running {
    pub(super) target: Target,
    pub(super) timeout: Duration,
    pub(super) pacer: Pacer,
    prepared: Vec<Prepared>,
    chooser: RefCell<Chooser>,
    seen: RefCell<Measurement>,
    last_answer: Cell<Instant>,
    live: Arc<Live>,
}

impl Lane {
    pub(super) fn new(share: Share) -> Result<Self, LoadError> {
        let authority = &share.target.authority;
        let prepared = share.workload.iter().map(|exchange| {
            let request = h2::request(exchange, authority).ok_or_else(|| LoadError::Probe {
                authority: authority.clone(),
                path: exchange.path.clone(),
                reason: "the path is not valid in a URL",
            })?;
            Ok(Prepared {
                exchange: exchange.clone(),
                wire: exchange.wire_bytes(authority),
                request,
            })
        });
        Ok(Self {
            prepared: prepared.collect::<Result<_, LoadError>>()?,
            seen: Measurement::new()?,
            share,
        })
    }

    /// Connects, waits for the other threads, and runs the load to its end.
    pub(super) async fn run(self, ready: &Barrier) -> Result<Measurement, LoadError> {
        let Share {
            index,
            threads,
            target,
            workload,
            plan,
            live,
            ..
        } = self.share;
        let connections = plan.connections / threads + usize::from(index < plan.connections % threads);
        // Connecting is not part of any latency, so it comes before the start.
        let mut h1 = Vec::new();
        let mut h2 = Vec::new();
        for _ in 0..connections {
            match plan.protocol {
                Protocol::Http1 => {
                    h1.push(
                        h1::Connection::open(target.address, plan.timeout)
                            .await
                            .ok(),
                    );
                }
                Protocol::Http2 => h2.push(h2::open(target.address, plan.timeout).await.ok()),
            }
        }
        ready.wait();

        let pacer = Pacer::start(&plan, index, threads);
        let running = Rc::new(Running {
            target,
            timeout: plan.timeout,
            last_answer: Cell::new(pacer.started()),
            pacer,
            prepared: self.prepared,
            chooser: RefCell::new(workload.chooser(index as u64, threads as u64)),
            seen: RefCell::new(self.seen),
            live,
        });
        let mut tasks = JoinSet::new();
        for connection in h1 {
            tasks.spawn_local(h1::run(Rc::clone(&running), connection));
        }
        for sender in h2 {
            let connection = Rc::new(h2::Shared::new(sender));
            for _ in 0..plan.streams {
                tasks.spawn_local(h2::run(Rc::clone(&running), Rc::clone(&connection)));
            }
        }
        running.pacer.attend(tasks).await?;
        Ok(running.result())
    }
}

impl Running {
    /// The next exchange to send and its place among the prepared ones.
    pub(super) fn choose(&self) -> Option<&Prepared> {
        self.prepared.get(self.chooser.borrow_mut().choose())
    }

    pub(super) fn sending(&self, due: Instant) {
        self.seen.borrow_mut().record_send_delay(due.elapsed());
    }

    /// Counts a finished request; after a failed connection, waits a little.
    pub(super) async fn finish(&self, due: Instant, outcome: Result<u64, Failure>) {
        let now = Instant::now();
        let latency = now.saturating_duration_since(due);
        self.seen.borrow_mut().record(latency, outcome);
        self.live.count(latency, outcome.is_ok());
        self.last_answer.set(now);
        if outcome == Err(Failure::Connect) && self.pacer.is_closed_loop() {
            tokio::time::sleep(RECONNECT_PAUSE).await;
        }
    }

    fn result(&self) -> Measurement {
        let mut seen = self.seen.borrow_mut();
        for waited in self.pacer.unsent() {
            seen.record_unsent(waited);
        }
        seen.elapsed = self.last_answer.get() - self.pacer.started();
        seen.clone()
    }
}

impl Prepared {
    /// Checks a complete answer against the expected one, and returns its body's length.
    pub(super) fn judge(&self, status: u16, body: &BodyCheck<'_>) -> Result<u64, Failure> {
        if status != self.exchange.expected.status {
            return Err(Failure::Status);
        }
        body.finish().ok_or(Failure::Body)
    }
}
