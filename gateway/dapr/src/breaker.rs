//! Circuit breakers: a target that fails is left alone for a while, then tried with few calls.
//!
//! The states and counts are those of Dapr's sidecar (<https://docs.dapr.io/operations/resiliency/policies/circuit-breakers/>):
//! closed, calls pass and failures are counted; open, none passes until `timeout` is over; half-open, `maxRequests`
//! pass, and the circuit closes when as many have succeeded, or opens again at the first failure.

#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    sync::Arc,
    time::{Duration, Instant},
};

use parking_lot::Mutex;

use crate::{app::AppId, subscription::rules::Condition};

/// A circuit breaker as a Resiliency resource defines it.
#[derive(Debug)]
pub(crate) struct Template {
    pub(crate) name: String,
    /// The calls that pass while half-open; at least 1.
    pub(crate) max_requests: u32,
    /// The time after which the counts of the closed state begin anew; never if zero.
    pub(crate) interval: Duration,
    /// The time that it stays open.
    pub(crate) timeout: Duration,
    /// True of the counts that open it.
    pub(crate) trip: Condition,
}

/// The circuits of one target by one template: each app has its own, as each would in its own sidecar.
#[derive(Debug)]
pub(crate) struct Breakers {
    template: Arc<Template>,
    /// Circuits of one app at most; the one that was used longest ago makes room.
    most: usize,
    by_app: Mutex<HashMap<AppId, VecDeque<Arc<Breaker>>>>,
}

/// One circuit.
#[derive(Debug)]
pub(crate) struct Breaker {
    template: Arc<Template>,
    target: String,
    circuit: Mutex<Circuit>,
}

#[derive(Debug, Default)]
struct Circuit {
    state: State,
    /// Changes with the state and when the counts begin anew: the end of an older call counts no more.
    generation: u64,
    counts: Counts,
    /// When the state, or the counts of the closed one, end by themselves.
    ends: Option<Instant>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Closed,
    Open,
    HalfOpen,
}

#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    requests: u32,
    total_successes: u32,
    total_failures: u32,
    consecutive_successes: u32,
    consecutive_failures: u32,
}

/// A call that does not pass, in the sidecar's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refused {
    #[error("circuit breaker is open")]
    Open,
    #[error("too many requests")]
    HalfOpen,
}

/// A call that has passed. Dropped before its end is known, as when its caller goes away, it counts for nothing.
#[derive(Debug)]
pub(crate) struct Passed {
    breaker: Arc<Breaker>,
    generation: u64,
    ended: bool,
}

impl Breakers {
    pub(crate) fn new(template: Arc<Template>, most: usize) -> Self {
        Self {
            template,
            most: most.max(1),
            by_app: Mutex::default(),
        }
    }

    /// The circuit between `app` and `target`.
    pub(crate) fn of(&self, app: &AppId, target: &str) -> Arc<Breaker> {
        let mut by_app = self.by_app.lock();
        let circuits = by_app.entry(app.clone()).or_default();
        let known = circuits.iter().position(|known| known.target == target);
        let found = known.and_then(|at| circuits.remove(at));
        let breaker = found.unwrap_or_else(|| {
            if circuits.len() >= self.most {
                circuits.pop_front();
            }
            Arc::new(Breaker {
                template: Arc::clone(&self.template),
                target: target.to_owned(),
                circuit: Mutex::new(Circuit::begin(&self.template, Instant::now())),
            })
        });
        circuits.push_back(Arc::clone(&breaker));
        breaker
    }

    /// Counts the circuits of each app by their states, as they are now.
    pub(crate) fn count(&self, into: &mut BTreeMap<(AppId, String, &'static str), u64>) {
        let now = Instant::now();
        for (app, circuits) in &*self.by_app.lock() {
            for breaker in circuits {
                let state = breaker.state(now);
                let key = (app.clone(), self.template.name.clone(), state.name());
                *into.entry(key).or_default() += 1;
            }
        }
    }
}

impl State {
    /// The word for it in metrics and in the log.
    fn name(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Open => "open",
            Self::HalfOpen => "half-open",
        }
    }
}

impl Breaker {
    /// The state now: an open circuit whose time is over is half-open, although no call has come yet.
    fn state(&self, now: Instant) -> State {
        let circuit = self.circuit.lock();
        match circuit.state {
            State::Open if circuit.ends.is_some_and(|ends| now > ends) => State::HalfOpen,
            state => state,
        }
    }

    /// Lets a call pass, or says why not.
    pub(crate) fn pass(self: Arc<Self>) -> Result<Passed, Refused> {
        let generation = self.enter(Instant::now())?;
        Ok(Passed {
            breaker: self,
            generation,
            ended: false,
        })
    }

    fn enter(&self, now: Instant) -> Result<u64, Refused> {
        let mut circuit = self.circuit.lock();
        self.advance(&mut circuit, now);
        match circuit.state {
            State::Open => return Err(Refused::Open),
            State::HalfOpen if circuit.counts.requests >= self.template.max_requests => {
                return Err(Refused::HalfOpen);
            }
            State::HalfOpen | State::Closed => {}
        }
        circuit.counts.requests = circuit.counts.requests.saturating_add(1);
        Ok(circuit.generation)
    }

    fn leave(&self, generation: u64, succeeded: Option<bool>, now: Instant) {
        let mut circuit = self.circuit.lock();
        self.advance(&mut circuit, now);
        if circuit.generation != generation {
            return;
        }
        let counts = &mut circuit.counts;
        match succeeded {
            None => counts.requests = counts.requests.saturating_sub(1),
            Some(succeeded) => counts.add(succeeded),
        }
        let counts = *counts;
        match (circuit.state, succeeded) {
            (State::Closed, Some(false)) if self.template.trip.holds(&counts.named()) => {
                self.turn(&mut circuit, State::Open, now);
            }
            (State::HalfOpen, Some(false)) => self.turn(&mut circuit, State::Open, now),
            (State::HalfOpen, Some(true)) if counts.consecutive_successes >= self.template.max_requests => {
                self.turn(&mut circuit, State::Closed, now);
            }
            _ => {}
        }
    }

    /// Ends what ends by itself.
    fn advance(&self, circuit: &mut Circuit, now: Instant) {
        if circuit.ends.is_none_or(|ends| now <= ends) {
            return;
        }
        match circuit.state {
            State::Closed => circuit.renew(&self.template, now),
            State::Open => self.turn(circuit, State::HalfOpen, now),
            State::HalfOpen => {}
        }
    }

    fn turn(&self, circuit: &mut Circuit, state: State, now: Instant) {
        let (name, target, before) = (&self.template.name, &self.target, circuit.state.name());
        match state {
            State::Open => tracing::warn!(name, target, before, "a circuit breaker has opened"),
            State::HalfOpen | State::Closed => {
                let state = state.name();
                tracing::info!(
                    name,
                    target,
                    before,
                    state,
                    "a circuit breaker changes its state"
                );
            }
        }
        circuit.state = state;
        circuit.renew(&self.template, now);
    }
}

impl Circuit {
    fn begin(template: &Template, now: Instant) -> Self {
        let mut circuit = Self::default();
        circuit.renew(template, now);
        circuit
    }

    fn renew(&mut self, template: &Template, now: Instant) {
        self.generation = self.generation.wrapping_add(1);
        self.counts = Counts::default();
        let after = match self.state {
            State::Closed => Some(template.interval).filter(|interval| !interval.is_zero()),
            State::Open => Some(template.timeout),
            State::HalfOpen => None,
        };
        self.ends = after.and_then(|after| now.checked_add(after));
    }
}

impl Counts {
    fn add(&mut self, succeeded: bool) {
        let (total, consecutive, others) = match succeeded {
            true => (
                &mut self.total_successes,
                &mut self.consecutive_successes,
                &mut self.consecutive_failures,
            ),
            false => (
                &mut self.total_failures,
                &mut self.consecutive_failures,
                &mut self.consecutive_successes,
            ),
        };
        *total = total.saturating_add(1);
        *consecutive = consecutive.saturating_add(1);
        *others = 0;
    }

    /// The counts by the names that `trip` has for them.
    fn named(&self) -> [(&'static str, i64); 5] {
        [
            ("requests", self.requests.into()),
            ("totalSuccesses", self.total_successes.into()),
            ("totalFailures", self.total_failures.into()),
            ("consecutiveSuccesses", self.consecutive_successes.into()),
            ("consecutiveFailures", self.consecutive_failures.into()),
        ]
    }
}

impl Passed {
    /// Notes how the call ended.
    pub(crate) fn end(mut self, succeeded: bool) {
        self.ended = true;
        self.breaker
            .leave(self.generation, Some(succeeded), Instant::now());
    }
}

impl Drop for Passed {
    fn drop(&mut self) {
        if !self.ended {
            self.breaker.leave(self.generation, None, Instant::now());
        }
    }
}
