//! Drives a plan: threads of one current-thread runtime each, connections
//! spread over them, results merged at the end.

mod follow;
mod h1;
mod h2;
mod lane;
mod pacer;
mod response;

use std::{
    io,
    sync::{Arc, Barrier, mpsc},
    thread,
    time::Duration,
};

use bytes::{Bytes, BytesMut};

pub use self::follow::{Followed, Look, Watch, follow};
use self::lane::{Lane, Share};
use crate::{
    plan::{Plan, Protocol},
    progress::{Live, Progress},
    stats::{Failure, Measurement},
    target::Target,
    workload::{Exchange, Workload},
};

/// A reason why a load could not be run at all. Failed requests are none: they
/// are counted in the [`Measurement`].
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// Threads, sockets or timers could not be had.
    #[error("the load generator could not start: {0}")]
    Start(#[from] io::Error),
    /// A histogram could not be made.
    #[error("the latency histogram could not be made: {0}")]
    Histogram(#[from] hdrhistogram::CreationError),
    /// A thread of the load panicked.
    #[error("a load thread ended early; this is a defect of the load generator")]
    ThreadLost,
    /// The first request was not answered.
    #[error("no answer from http://{authority}{path}: {reason}; is the server running there?")]
    Probe {
        /// The server.
        authority: String,
        /// The path that was asked.
        path: String,
        /// The reason.
        reason: &'static str,
    },
}

/// One answer, whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The body.
    pub body: Bytes,
}

/// Runs one load to its end and returns what was measured.
///
/// # Errors
/// [`LoadError`] when the generator itself cannot work.
pub fn drive(
    target: &Target,
    workload: &Arc<Workload>,
    plan: &Plan,
    progress: Progress,
) -> Result<Measurement, LoadError> {
    let threads = plan.busy_threads();
    let ready = Arc::new(Barrier::new(threads));
    let (done, results) = mpsc::channel();
    let mut live = Vec::with_capacity(threads);
    for index in 0..threads {
        let counters = Arc::new(Live::default());
        live.push(Arc::clone(&counters));
        let share = Share {
            index,
            threads,
            target: target.clone(),
            workload: Arc::clone(workload),
            plan: plan.clone(),
            ready: Arc::clone(&ready),
            live: counters,
        };
        let done = done.clone();
        thread::Builder::new()
            .name(format!("load-{index}"))
            .spawn(move || {
                // Nobody listens any more when another thread has failed.
                let _ = done.send(run_thread(share));
            })?;
    }
    drop(done);

    let mut whole = Measurement::new()?;
    let mut line = progress.start(plan, live);
    for _ in 0..threads {
        let part = loop {
            match results.recv_timeout(Progress::INTERVAL) {
                Ok(part) => break part?,
                Err(mpsc::RecvTimeoutError::Timeout) => line.show(),
                Err(mpsc::RecvTimeoutError::Disconnected) => return Err(LoadError::ThreadLost),
            }
        };
        whole.merge(&part);
    }
    line.clear();
    Ok(whole)
}

/// Sends one request and returns the whole answer, whatever its status.
///
/// # Errors
/// [`LoadError::Probe`] when there is none within `timeout`.
pub fn probe(target: &Target, exchange: &Exchange, protocol: Protocol, timeout: Duration) -> Result<Answer, LoadError> {
    let mut body = BytesMut::new();
    let outcome = current_thread()?.block_on(async {
        let collect = &mut |piece: &[u8]| body.extend_from_slice(piece);
        match protocol {
            Protocol::Http1 => {
                let mut connection = h1::Connection::open(target.address, timeout).await?;
                let wire = exchange.wire_bytes(&target.authority);
                connection.exchange(&wire, timeout, collect).await
            }
            Protocol::Http2 => {
                let mut sender = h2::open(target.address, timeout).await?;
                let request = h2::request(exchange, &target.authority).ok_or(Failure::Io)?;
                h2::exchange(&mut sender, &request, &exchange.body, timeout, collect).await
            }
        }
    });
    match outcome {
        Ok(status) => Ok(Answer {
            status,
            body: body.freeze(),
        }),
        Err(failure) => Err(LoadError::Probe {
            authority: target.authority.clone(),
            path: exchange.path.clone(),
            reason: match failure {
                Failure::Connect => "no connection",
                Failure::Timeout => "time-out",
                _ => "the connection broke or the answer was not HTTP",
            },
        }),
    }
}

fn run_thread(share: Share) -> Result<Measurement, LoadError> {
    let ready = Arc::clone(&share.ready);
    let started = current_thread()
        .map_err(LoadError::from)
        .and_then(|runtime| {
            let lane = Lane::new(share)?;
            Ok((runtime, lane))
        });
    match started {
        Ok((runtime, lane)) => tokio::task::LocalSet::new().block_on(&runtime, lane.run(&ready)),
        Err(error) => {
            // The other threads wait for this one before they begin.
            ready.wait();
            Err(error)
        }
    }
}

fn current_thread() -> io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
}
