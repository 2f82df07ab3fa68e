//! Hands out due times to connections.
//!
//! A free connection takes the next due time and waits for it; when all are
//! busy, due times pass untaken and are sent late, with their latency still
//! counted from when they were due. The wait uses a timer descriptor, because
//! the runtime's own timers are a millisecond coarse.

use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
    future::poll_fn,
    io,
    os::fd::OwnedFd,
    task::{Poll, Waker},
    time::{Duration, Instant},
};

use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create, timerfd_settime,
};
use tokio::{
    io::{Interest, unix::AsyncFd},
    sync::Notify,
    task::JoinSet,
};

use super::LoadError;
use crate::plan::{Pace, Plan, Schedule};

/// Due times closer together than this are sent together. A timer for each would cost more than the request it is for,
/// on cores that the server needs; what is sent late for it counts in the latency.
const TIMER_STEP: Duration = Duration::from_micros(50);

/// Due times of one thread.
pub(super) struct Pacer {
    start: Instant,
    end: Instant,
    give_up: Instant,
    schedule: Option<RefCell<Schedule>>,
    remaining: Cell<u64>,
    waiting: RefCell<VecDeque<(Instant, Waker)>>,
    pushed: Notify,
}

impl Pacer {
    /// Thread `index` of `threads` under `plan`, beginning now.
    pub(super) fn start(plan: &Plan, index: usize, threads: usize) -> Self {
        let (index, threads) = (index as u64, threads as u64);
        let schedule = match plan.pace {
            Pace::Closed => None,
            Pace::Open {
                requests_per_second,
            } => {
                let schedule = Schedule::new(requests_per_second, index, threads, plan.duration);
                Some(RefCell::new(schedule))
            }
        };
        let remaining = plan.requests.map_or(u64::MAX, |requests| {
            requests / threads + u64::from(index < requests % threads)
        });
        let start = Instant::now();
        let end = start + plan.duration;
        Self {
            start,
            end,
            give_up: end + plan.timeout,
            schedule,
            remaining: Cell::new(remaining),
            waiting: RefCell::default(),
            pushed: Notify::new(),
        }
    }

    pub(super) fn is_closed_loop(&self) -> bool {
        self.schedule.is_none()
    }

    pub(super) fn started(&self) -> Instant {
        self.start
    }

    /// Waits for the next due time and returns it; `None` when the load is over.
    pub(super) async fn next(&self) -> Option<Instant> {
        let now = Instant::now();
        if self.remaining.get() == 0 {
            return None;
        }
        let Some(schedule) = &self.schedule else {
            self.take_one();
            return (now < self.end).then_some(now);
        };
        if now >= self.give_up {
            return None;
        }
        let due = self.start + schedule.borrow_mut().next()?;
        self.take_one();
        if due > now {
            self.wait_until(due).await;
        }
        Some(due)
    }

    /// The waiting time of each due time that nobody took.
    pub(super) fn unsent(&self) -> Vec<Duration> {
        let now = Instant::now();
        let Some(schedule) = &self.schedule else {
            return Vec::new();
        };
        let remaining = usize::try_from(self.remaining.get()).unwrap_or(usize::MAX);
        let left = &mut *schedule.borrow_mut();
        left.take(remaining)
            .map(|due| now.saturating_duration_since(self.start + due))
            .collect()
    }

    /// Runs the connections of a thread to their end, waking each when it is due.
    pub(super) async fn attend(&self, mut connections: JoinSet<()>) -> Result<(), LoadError> {
        let finished = async {
            while let Some(connection) = connections.join_next().await {
                if connection.is_err() {
                    return Err(LoadError::ThreadLost);
                }
            }
            Ok(())
        };
        tokio::select! {
            outcome = finished => outcome,
            failed = self.wake_when_due() => Ok(failed?),
        }
    }

    /// Wakes connections at their due times; runs beside them until dropped.
    async fn wake_when_due(&self) -> io::Result<()> {
        let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
        let timer = watched(timerfd_create(TimerfdClockId::Monotonic, flags)?)?;
        loop {
            let Some(due) = self.waiting.borrow().front().map(|(due, _)| *due) else {
                self.pushed.notified().await;
                continue;
            };
            let wait = due.saturating_duration_since(Instant::now());
            if !wait.is_zero() {
                sleep(&timer, wait.max(TIMER_STEP)).await?;
            }
            self.wake_due();
        }
    }

    fn take_one(&self) {
        self.remaining.set(self.remaining.get() - 1);
    }

    async fn wait_until(&self, due: Instant) {
        poll_fn(|context| {
            if Instant::now() >= due {
                return Poll::Ready(());
            }
            // Due times are taken in order, so the queue is sorted. A second
            // entry of a task that was polled early is a harmless wake-up.
            let mut waiting = self.waiting.borrow_mut();
            waiting.push_back((due, context.waker().clone()));
            if waiting.len() == 1 {
                self.pushed.notify_one();
            }
            Poll::Pending
        })
        .await;
    }

    fn wake_due(&self) {
        let now = Instant::now();
        let mut waiting = self.waiting.borrow_mut();
        while waiting.front().is_some_and(|(due, _)| *due <= now) {
            if let Some((_, waker)) = waiting.pop_front() {
                waker.wake();
            }
        }
    }
}

#[allow(
    deprecated,
    reason = "deprecated because a type could hand out a descriptor it does not own; an OwnedFd \
              cannot, and the replacement is unsafe"
)]
fn watched(timer: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    AsyncFd::with_interest(timer, Interest::READABLE)
}

async fn sleep(timer: &AsyncFd<OwnedFd>, wait: Duration) -> io::Result<()> {
    let once = Itimerspec {
        it_interval: Timespec::default(),
        it_value: Timespec {
            tv_sec: i64::try_from(wait.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: wait.subsec_nanos().into(),
        },
    };
    timerfd_settime(timer.get_ref(), TimerfdTimerFlags::empty(), &once)?;
    let mut ready = timer.readable().await?;
    let mut expirations = [0u8; 8];
    // Nothing to read only means that the next round sets the timer again.
    let _ = rustix::io::read(timer.get_ref(), &mut expirations);
    ready.clear_ready();
    Ok(())
}
