//! The plan of a load: its size, its length, and when each request is due.

use std::time::Duration;

/// More would ask the kernel for more descriptors than a default limit gives.
pub const MAX_CONNECTIONS: usize = 10_000;
/// A generator with more threads than this only takes cores from the server.
pub const MAX_THREADS: usize = 64;
/// A load is bounded in time: an hour is far beyond what a comparison needs.
pub const MAX_DURATION: Duration = Duration::from_secs(3600);
/// Requests in flight on one HTTP/2 connection; common servers allow 100 to 250.
pub const MAX_STREAMS: usize = 1_000;
/// Faster than loopback can answer; guards against a slip of the keyboard.
pub const MAX_RATE: f64 = 10_000_000.0;

/// The protocol spoken on every connection of a load.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// HTTP/1.1, one request at a time on a connection.
    Http1,
    /// With prior knowledge, that is without TLS or an upgrade (RFC 9113, 3.3).
    Http2,
}

/// The times at which requests are sent.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Pace {
    /// The next request goes out when the last one is answered: finds the maximum.
    Closed,
    /// This many requests a second are due whatever the server does, and each
    /// latency counts from the moment the request was due.
    Open {
        /// The rate.
        requests_per_second: f64,
    },
}

/// One bounded load.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct Plan {
    /// The protocol.
    pub protocol: Protocol,
    /// The times at which requests are sent.
    pub pace: Pace,
    /// Connections, over all threads.
    pub connections: usize,
    /// Requests in flight on each HTTP/2 connection; HTTP/1.1 has one.
    pub streams: usize,
    /// Threads that send.
    pub threads: usize,
    /// The length of the load.
    pub duration: Duration,
    /// Stop after this many requests, even before `duration` is over.
    pub requests: Option<u64>,
    /// A request not answered after this long counts as a time-out. Open-loop
    /// requests that are still unsent this long after the end count as unsent.
    pub timeout: Duration,
}

/// A reason why a plan cannot be run.
#[derive(Debug, thiserror::Error, PartialEq)]
pub enum PlanError {
    /// A value is outside its range.
    #[error("--{flag} {given} is outside {allowed}")]
    OutOfRange {
        /// The flag that sets it.
        flag: &'static str,
        /// The value given.
        given: String,
        /// The range, in words.
        allowed: String,
    },
}

impl Default for Plan {
    /// 64 connections from one thread, as the figures in the README are taken.
    fn default() -> Self {
        Self {
            protocol: Protocol::Http1,
            pace: Pace::Closed,
            connections: 64,
            streams: 16,
            threads: 1,
            duration: Duration::from_secs(10),
            requests: None,
            timeout: Duration::from_secs(10),
        }
    }
}

impl Plan {
    /// Checks every limit.
    ///
    /// # Errors
    /// Names the flag that is out of its range and the range.
    pub fn check(&self) -> Result<(), PlanError> {
        in_range("connections", self.connections, MAX_CONNECTIONS)?;
        in_range("threads", self.threads, MAX_THREADS)?;
        in_range("streams", self.streams, MAX_STREAMS)?;
        let positive = Duration::from_millis(1);
        for (flag, given) in [("duration", self.duration), ("timeout", self.timeout)] {
            if given < positive || given > MAX_DURATION {
                return Err(PlanError::OutOfRange {
                    flag,
                    given: humantime::format_duration(given).to_string(),
                    allowed: format!("1ms to {}", humantime::format_duration(MAX_DURATION)),
                });
            }
        }
        if let Pace::Open {
            requests_per_second: rate,
        } = self.pace
            && !(rate > 0.0 && rate <= MAX_RATE)
        {
            return Err(PlanError::OutOfRange {
                flag: "rate",
                given: rate.to_string(),
                allowed: format!("more than 0, at most {MAX_RATE}"),
            });
        }
        Ok(())
    }

    /// Threads that get at least one connection.
    pub fn busy_threads(&self) -> usize {
        self.threads.min(self.connections).max(1)
    }
}

fn in_range(flag: &'static str, given: usize, max: usize) -> Result<(), PlanError> {
    if (1..=max).contains(&given) {
        return Ok(());
    }
    Err(PlanError::OutOfRange {
        flag,
        given: given.to_string(),
        allowed: format!("1 to {max}"),
    })
}

/// One thread's share of the due times of an open loop: thread `t` of `n`
/// takes requests `t`, `t + n`, `t + 2n`, … so that the threads together keep
/// one even schedule.
#[derive(Debug, Clone)]
pub struct Schedule {
    interval_ns: f64,
    next: u64,
    step: u64,
    end: Duration,
}

impl Schedule {
    /// For a rate that [`Plan::check`] has accepted.
    pub fn new(requests_per_second: f64, thread: u64, threads: u64, duration: Duration) -> Self {
        Self {
            interval_ns: 1e9 / requests_per_second,
            next: thread,
            step: threads,
            end: duration,
        }
    }
}

impl Iterator for Schedule {
    /// When the request is due, counted from the start of the load.
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        // Multiplied rather than summed, so that rounding never accumulates.
        let due = Duration::from_nanos((self.next as f64 * self.interval_ns) as u64);
        if due >= self.end {
            return None;
        }
        self.next += self.step;
        Some(due)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_together_keep_one_even_schedule() {
        let second = Duration::from_secs(1);
        let mut due: Vec<_> = (0..3)
            .flat_map(|thread| Schedule::new(1000.0, thread, 3, second))
            .collect();
        due.sort();
        assert_eq!(due.len(), 1000);
        assert!(
            due.iter()
                .zip(0u64..)
                .all(|(due, n)| *due == Duration::from_millis(n))
        );
    }

    #[test]
    fn a_rate_that_does_not_divide_a_second_does_not_drift() {
        let due: Vec<_> = Schedule::new(3.0, 0, 1, Duration::from_secs(1000)).collect();
        assert_eq!(due.len(), 3000);
        assert_eq!(due[2997], Duration::from_secs(999));
    }

    #[test]
    fn values_outside_their_range_are_named() {
        let plan = Plan {
            connections: 0,
            ..Plan::default()
        };
        let said = plan.check().unwrap_err().to_string();
        assert!(said.contains("--connections"), "{said}");
        let plan = Plan {
            pace: Pace::Open {
                requests_per_second: f64::NAN,
            },
            ..Plan::default()
        };
        assert!(plan.check().is_err());
        assert!(Plan::default().check().is_ok());
    }
}
