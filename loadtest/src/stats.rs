//! Measurements of a load: latencies in HDR histograms, answers and errors counted apart.

use std::time::Duration;

use hdrhistogram::Histogram;

/// Three significant digits: an error of at most 0.1 % at any percentile.
const SIGNIFICANT_DIGITS: u8 = 3;
/// The largest latency told apart; longer ones count as this long. Above the
/// longest time-out plus the longest backlog of a load ([`crate::plan::MAX_DURATION`] each).
const MAX_LATENCY_NS: u64 = 2 * 3600 * 1_000_000_000;

/// Ways a request can fail, counted apart so that none hides another.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
pub struct Errors {
    /// No connection could be made.
    pub connect: u64,
    /// The connection broke, or what came was not HTTP.
    pub io: u64,
    /// No complete answer within the time-out.
    pub timeout: u64,
    /// A complete answer with another status than expected.
    pub status: u64,
    /// The right status with another body than expected.
    pub body: u64,
    /// Due in an open loop but never sent, because every connection was busy
    /// until the end. Their wait so far is in the latencies, as a lower bound.
    pub unsent: u64,
}

/// The ways one request can fail; each has its counter in [`Errors`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// No connection.
    Connect,
    /// The connection broke.
    Io,
    /// No answer in time.
    Timeout,
    /// Another status than expected.
    Status,
    /// Another body than expected.
    Body,
}

impl Errors {
    /// All failures together.
    pub fn total(&self) -> u64 {
        self.connect + self.io + self.timeout + self.status + self.body + self.unsent
    }

    fn count(&mut self, failure: Failure) {
        let counter = match failure {
            Failure::Connect => &mut self.connect,
            Failure::Io => &mut self.io,
            Failure::Timeout => &mut self.timeout,
            Failure::Status => &mut self.status,
            Failure::Body => &mut self.body,
        };
        *counter += 1;
    }

    fn add(&mut self, other: &Self) {
        self.connect += other.connect;
        self.io += other.io;
        self.timeout += other.timeout;
        self.status += other.status;
        self.body += other.body;
        self.unsent += other.unsent;
    }
}

/// The result of one load, or one thread's part of it.
#[derive(Debug, Clone)]
pub struct Measurement {
    /// Requests answered as expected.
    pub answered: u64,
    /// Failed requests, by kind.
    pub errors: Errors,
    /// From the first due request to the last answer.
    pub elapsed: Duration,
    /// Bytes of verified response bodies.
    pub body_bytes: u64,
    latency: Histogram<u64>,
    send_delay: Histogram<u64>,
}

impl Measurement {
    /// # Errors
    /// Never in practice: the bounds are constants that the histogram accepts.
    pub fn new() -> Result<Self, hdrhistogram::CreationError> {
        let histogram = Histogram::new_with_bounds(1, MAX_LATENCY_NS, SIGNIFICANT_DIGITS)?;
        Ok(Self {
            answered: 0,
            errors: Errors::default(),
            elapsed: Duration::ZERO,
            body_bytes: 0,
            latency: histogram.clone(),
            send_delay: histogram,
        })
    }

    /// Counts one finished request. `latency` counts from when it was due;
    /// failed requests that got as far as an answer or a time-out are in the
    /// latencies too: leaving them out would flatter an overloaded server.
    pub fn record(&mut self, latency: Duration, outcome: Result<u64, Failure>) {
        match outcome {
            Ok(body_bytes) => {
                self.answered += 1;
                self.body_bytes += body_bytes;
            }
            Err(failure) => self.errors.count(failure),
        }
        if !matches!(outcome, Err(Failure::Connect)) {
            self.latency.saturating_record(nanos(latency));
        }
    }

    /// Records how long after its due time a request was written: the server's
    /// backlog together with the generator's own lateness.
    pub fn record_send_delay(&mut self, delay: Duration) {
        self.send_delay.saturating_record(nanos(delay));
    }

    /// Counts a due request that was never sent, with its wait as a lower bound.
    pub fn record_unsent(&mut self, waited: Duration) {
        self.errors.unsent += 1;
        self.latency.saturating_record(nanos(waited));
    }

    /// Adds another thread's part.
    pub fn merge(&mut self, other: &Self) {
        self.answered += other.answered;
        self.errors.add(&other.errors);
        self.elapsed = self.elapsed.max(other.elapsed);
        self.body_bytes += other.body_bytes;
        // Equal bounds by construction, so adding cannot fail.
        let _ = self.latency.add(&other.latency);
        let _ = self.send_delay.add(&other.send_delay);
    }

    /// Right answers a second.
    pub fn requests_per_second(&self) -> f64 {
        let seconds = self.elapsed.as_secs_f64();
        if seconds > 0.0 {
            self.answered as f64 / seconds
        } else {
            0.0
        }
    }

    /// The latency that `percentile` per cent of requests did not exceed.
    pub fn latency(&self, percentile: f64) -> Duration {
        Duration::from_nanos(self.latency.value_at_percentile(percentile))
    }

    /// The mean latency of right answers.
    pub fn mean_latency(&self) -> Duration {
        Duration::from_nanos(self.latency.mean() as u64)
    }

    /// A percentile of the time from due to sent.
    pub fn send_delay(&self, percentile: f64) -> Duration {
        Duration::from_nanos(self.send_delay.value_at_percentile(percentile))
    }

    /// A summary for people and for JSON.
    pub fn summary(&self) -> Summary {
        let ms = |percentile| self.latency(percentile).as_secs_f64() * 1e3;
        Summary {
            answered: self.answered,
            errors: self.errors,
            elapsed_seconds: self.elapsed.as_secs_f64(),
            requests_per_second: self.requests_per_second(),
            body_bytes: self.body_bytes,
            latency_ms: Latencies {
                mean: self.mean_latency().as_secs_f64() * 1e3,
                p50: ms(50.0),
                p90: ms(90.0),
                p99: ms(99.0),
                p999: ms(99.9),
                max: ms(100.0),
            },
            send_delay_p99_ms: self.send_delay(99.0).as_secs_f64() * 1e3,
        }
    }
}

/// [`Measurement`] in plain numbers.
#[derive(Debug, Clone, serde::Serialize)]
pub struct Summary {
    /// Right answers.
    pub answered: u64,
    /// Failed requests, by kind.
    pub errors: Errors,
    /// The length of the load, in seconds.
    pub elapsed_seconds: f64,
    /// Right answers a second.
    pub requests_per_second: f64,
    /// Bytes of all bodies.
    pub body_bytes: u64,
    /// Latencies, in milliseconds.
    pub latency_ms: Latencies,
    /// The 99th percentile of the time from due to sent, in milliseconds.
    pub send_delay_p99_ms: f64,
}

/// Latencies in milliseconds.
#[derive(Debug, Clone, serde::Serialize)]
pub struct Latencies {
    /// The mean.
    pub mean: f64,
    /// The median.
    pub p50: f64,
    /// The 90th percentile.
    pub p90: f64,
    /// The 99th percentile.
    pub p99: f64,
    /// The 99.9th percentile.
    pub p999: f64,
    /// The maximum.
    pub max: f64,
}

fn nanos(duration: Duration) -> u64 {
    // Zero is below the histogram's lowest bound.
    u64::try_from(duration.as_nanos())
        .unwrap_or(u64::MAX)
        .max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_counted_apart_from_answers() {
        let mut seen = Measurement::new().unwrap();
        let ms = Duration::from_millis;
        seen.record(ms(1), Ok(5));
        seen.record(ms(1), Err(Failure::Status));
        seen.record(ms(1), Err(Failure::Body));
        seen.record_unsent(ms(90));
        assert_eq!((seen.answered, seen.errors.total()), (1, 3));
        assert_eq!((seen.errors.status, seen.errors.unsent), (1, 1));
        assert!(
            seen.latency(100.0) >= ms(89),
            "an unsent request's wait is seen"
        );
    }

    #[test]
    fn a_failed_connection_is_no_latency() {
        let mut seen = Measurement::new().unwrap();
        seen.record(Duration::from_nanos(10), Err(Failure::Connect));
        assert_eq!(seen.latency(50.0), Duration::ZERO);
        assert_eq!(seen.errors.connect, 1);
    }

    #[test]
    fn merging_adds_counts_and_keeps_the_longer_time() {
        let mut one = Measurement::new().unwrap();
        let mut two = one.clone();
        one.record(Duration::from_millis(1), Ok(1));
        one.elapsed = Duration::from_secs(2);
        two.record(Duration::from_millis(9), Ok(1));
        two.elapsed = Duration::from_secs(1);
        one.merge(&two);
        assert!((one.requests_per_second() - 1.0).abs() < 1e-9);
        assert!(one.latency(100.0) >= Duration::from_millis(8));
    }
}
