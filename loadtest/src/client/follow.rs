//! Requests that begin something: each is watched until what it began ends.

use std::{cell::RefCell, rc::Rc, sync::Arc, time::Duration};

use bytes::{Bytes, BytesMut};
use tokio::{
    task::{JoinSet, LocalSet},
    time::{Instant, sleep},
};

use super::{LoadError, current_thread, h1::Connection, pacer::Pacer};
use crate::{
    plan::Plan,
    stats::{Failure, Measurement},
    target::Target,
    workload::{Chooser, Exchange, Workload},
};

/// The interval at which what was begun is looked at, and so the exactness of its end: seldom
/// enough that the looking is a small part of the load.
const LOOK_INTERVAL: Duration = Duration::from_millis(10);

/// The result of a look at something begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Look {
    /// It has not ended.
    Unfinished,
    /// It ended as it should.
    Done,
    /// It ended otherwise.
    Wrong,
}

/// A way to watch something begun.
#[derive(Debug, Clone, Copy)]
pub struct Watch {
    /// The path to look at, from the answer to the request that began it; `None`
    /// when the answer does not say.
    pub path: fn(request: &Exchange, answer: &[u8]) -> Option<String>,
    /// The meaning of a look's answer.
    pub judge: fn(answer: &[u8]) -> Look,
    /// The time after which what has not ended counts as timed out.
    pub limit: Duration,
}

/// Both times of every request, from when it was due.
#[derive(Debug)]
pub struct Followed {
    /// To the answer of the request itself.
    pub accepted: Measurement,
    /// To the end of what it began; requests that were refused are not in it.
    pub done: Measurement,
}

/// Runs one load over HTTP/1.1 from one thread, each request watched to its
/// end on the connection that sent it: an open loop needs as many connections
/// as things go on at once.
///
/// # Errors
/// [`LoadError`] when the generator itself cannot work.
pub fn follow(target: &Target, workload: &Arc<Workload>, plan: &Plan, watch: Watch) -> Result<Followed, LoadError> {
    let runtime = current_thread()?;
    LocalSet::new().block_on(&runtime, async {
        let mut connections = Vec::with_capacity(plan.connections);
        for _ in 0..plan.connections {
            connections.push(Connection::open(target.address, plan.timeout).await.ok());
        }
        let lane = Rc::new(Lane {
            pacer: Pacer::start(plan, 0, 1),
            chooser: RefCell::new(workload.chooser(0, 1)),
            exchanges: workload.iter().cloned().collect(),
            followed: RefCell::new(Followed {
                accepted: Measurement::new()?,
                done: Measurement::new()?,
            }),
            target: target.clone(),
            timeout: plan.timeout,
            watch,
        });
        let mut tasks = JoinSet::new();
        for connection in connections {
            tasks.spawn_local(run(Rc::clone(&lane), connection));
        }
        lane.pacer.attend(tasks).await?;
        lane.result()
    })
}

/// State that the connections share.
struct Lane {
    pacer: Pacer,
    chooser: RefCell<Chooser>,
    exchanges: Vec<Exchange>,
    followed: RefCell<Followed>,
    target: Target,
    timeout: Duration,
    watch: Watch,
}

async fn run(lane: Rc<Lane>, mut connection: Option<Connection>) {
    while let Some(due) = lane.pacer.next().await {
        let begun = lane.begin(&mut connection, due.into()).await;
        let outcome = begun.as_ref().map(|_| 0).map_err(|failure| *failure);
        lane.followed
            .borrow_mut()
            .accepted
            .record(due.elapsed(), outcome);
        if let Ok(path) = begun {
            let outcome = lane.watch(&mut connection, &path).await;
            lane.followed
                .borrow_mut()
                .done
                .record(due.elapsed(), outcome);
        }
    }
}

impl Lane {
    /// Sends the next request; where to look at what it began.
    async fn begin(&self, connection: &mut Option<Connection>, due: Instant) -> Result<String, Failure> {
        let index = self.chooser.borrow_mut().choose();
        let exchange = self.exchanges.get(index).ok_or(Failure::Io)?;
        self.followed
            .borrow_mut()
            .accepted
            .record_send_delay(due.elapsed());
        let (status, answer) = self.ask(connection, exchange).await?;
        if status != exchange.expected.status {
            return Err(Failure::Status);
        }
        (self.watch.path)(exchange, &answer).ok_or(Failure::Body)
    }

    async fn watch(&self, connection: &mut Option<Connection>, path: &str) -> Result<u64, Failure> {
        let began = Instant::now();
        let look = Exchange::get(path);
        while began.elapsed() < self.watch.limit {
            let (status, answer) = self.ask(connection, &look).await?;
            if status != look.expected.status {
                return Err(Failure::Status);
            }
            match (self.watch.judge)(&answer) {
                Look::Unfinished => sleep(LOOK_INTERVAL).await,
                Look::Done => return Ok(0),
                Look::Wrong => return Err(Failure::Body),
            }
        }
        Err(Failure::Timeout)
    }

    async fn ask(&self, slot: &mut Option<Connection>, exchange: &Exchange) -> Result<(u16, Bytes), Failure> {
        // Out of its slot while in use, so that a failure drops it.
        let mut connection = match slot.take() {
            Some(connection) => connection,
            None => Connection::open(self.target.address, self.timeout).await?,
        };
        let wire = exchange.wire_bytes(&self.target.authority);
        let mut body = BytesMut::new();
        let collect = &mut |piece: &[u8]| body.extend_from_slice(piece);
        let status = connection.exchange(&wire, self.timeout, collect).await?;
        if connection.is_kept_alive() {
            *slot = Some(connection);
        }
        Ok((status, body.freeze()))
    }

    fn result(&self) -> Result<Followed, LoadError> {
        let empty = Followed {
            accepted: Measurement::new()?,
            done: Measurement::new()?,
        };
        let mut followed = self.followed.replace(empty);
        for waited in self.pacer.unsent() {
            followed.accepted.record_unsent(waited);
        }
        let elapsed = self.pacer.started().elapsed();
        followed.accepted.elapsed = elapsed;
        followed.done.elapsed = elapsed;
        Ok(followed)
    }
}
