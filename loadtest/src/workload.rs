//! The requests of a load, and the answers that count as right.

use std::sync::Arc;

use bytes::Bytes;
use http::Method;

/// The expectation of a response body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ExpectedBody {
    /// Any body.
    Any,
    /// These bytes.
    Exactly(Bytes),
    /// Any bytes, but this many of them.
    Length(u64),
}

/// The answer that counts as right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expected {
    /// The status.
    pub status: u16,
    /// The body.
    pub body: ExpectedBody,
}

/// One request and its right answer.
#[derive(Debug, Clone)]
pub struct Exchange {
    /// The method.
    pub method: Method,
    /// The path, with a query if there is one.
    pub path: String,
    /// The body.
    pub body: Bytes,
    /// The media type of the body.
    pub content_type: Option<&'static str>,
    /// The right answer.
    pub expected: Expected,
}

impl Exchange {
    /// A GET of which any 200 is right.
    pub fn get(path: &str) -> Self {
        Self {
            method: Method::GET,
            path: path.to_owned(),
            body: Bytes::new(),
            content_type: None,
            expected: Expected {
                status: 200,
                body: ExpectedBody::Any,
            },
        }
    }

    /// A POST of which any 200 is right.
    pub fn post(path: &str, body: Bytes) -> Self {
        Self {
            method: Method::POST,
            body,
            content_type: Some("application/octet-stream"),
            ..Self::get(path)
        }
    }

    /// The same with a JSON body.
    pub fn json(method: Method, path: &str, value: &serde_json::Value) -> Self {
        Self {
            method,
            body: value.to_string().into(),
            content_type: Some("application/json"),
            ..Self::get(path)
        }
    }

    /// The HTTP/1.1 request as it goes over the wire, head and body in one
    /// piece so that a small request is one write.
    pub fn wire_bytes(&self, authority: &str) -> Bytes {
        let mut wire = format!(
            "{} {} HTTP/1.1\r\nhost: {authority}\r\n",
            self.method, self.path
        );
        if let Some(content_type) = self.content_type {
            wire += &format!("content-type: {content_type}\r\n");
        }
        if !self.body.is_empty() || self.method == Method::POST {
            wire += &format!("content-length: {}\r\n", self.body.len());
        }
        wire += "\r\n";
        let mut wire = wire.into_bytes();
        wire.extend_from_slice(&self.body);
        wire.into()
    }
}

/// Compares a body with what is expected while it comes in pieces.
#[derive(Debug)]
pub struct BodyCheck<'a> {
    expected: &'a ExpectedBody,
    seen: usize,
    equal: bool,
}

impl<'a> BodyCheck<'a> {
    /// Begins to check a body.
    pub fn new(expected: &'a ExpectedBody) -> Self {
        Self {
            expected,
            seen: 0,
            equal: true,
        }
    }

    /// Checks the next piece.
    pub fn piece(&mut self, piece: &[u8]) {
        let end = self.seen + piece.len();
        if let ExpectedBody::Exactly(whole) = self.expected {
            self.equal &= whole.get(self.seen..end) == Some(piece);
        }
        self.seen = end;
    }

    /// The body's length if it was as expected.
    pub fn finish(&self) -> Option<u64> {
        let seen = self.seen as u64;
        let right = match self.expected {
            ExpectedBody::Any => true,
            ExpectedBody::Exactly(whole) => self.equal && self.seen == whole.len(),
            ExpectedBody::Length(length) => seen == *length,
        };
        right.then_some(seen)
    }
}

/// In which order the exchanges of a workload are sent.
#[derive(Debug, Clone)]
enum Order {
    /// One after the other, and again from the first.
    RoundRobin,
    /// Each at random by its weight; the sums of the weights up to each one.
    Weighted(Vec<f64>),
}

/// The exchanges of a load, never empty.
#[derive(Debug, Clone)]
pub struct Workload {
    first: Exchange,
    rest: Vec<Exchange>,
    order: Order,
}

impl Workload {
    /// The same request over and over.
    pub fn one(exchange: Exchange) -> Self {
        Self {
            first: exchange,
            rest: Vec::new(),
            order: Order::RoundRobin,
        }
    }

    /// Each in turn; `None` if there are none.
    pub fn each_in_turn(mut exchanges: Vec<Exchange>) -> Option<Self> {
        if exchanges.is_empty() {
            return None;
        }
        let first = exchanges.remove(0);
        Some(Self {
            first,
            rest: exchanges,
            order: Order::RoundRobin,
        })
    }

    /// By Zipf's law: the `k`-th exchange has weight `1 / k^s`. `s = 0` is
    /// uniform; web traffic over paths is usually near `s = 1`.
    pub fn zipf(exchanges: Vec<Exchange>, s: f64) -> Option<Self> {
        let mut sum = 0.0;
        let sums = (1..=exchanges.len())
            .map(|rank| {
                sum += (rank as f64).powf(-s);
                sum
            })
            .collect();
        let workload = Self::each_in_turn(exchanges)?;
        Some(Self {
            order: Order::Weighted(sums),
            ..workload
        })
    }

    /// The number of exchanges.
    pub fn len(&self) -> usize {
        1 + self.rest.len()
    }

    /// Never: a workload has at least one exchange.
    pub fn is_empty(&self) -> bool {
        false
    }

    /// Returns the exchanges in their order.
    pub fn iter(&self) -> impl Iterator<Item = &Exchange> {
        std::iter::once(&self.first).chain(&self.rest)
    }

    /// A chooser for one thread, the same on every run.
    pub fn chooser(self: &Arc<Self>, thread: u64, threads: u64) -> Chooser {
        Chooser {
            workload: Arc::clone(self),
            next: thread,
            step: threads,
            random: fastrand::Rng::with_seed(0x5EED ^ thread),
        }
    }
}

/// Picks the index of the next exchange.
#[derive(Debug)]
pub struct Chooser {
    workload: Arc<Workload>,
    next: u64,
    step: u64,
    random: fastrand::Rng,
}

impl Chooser {
    /// Returns the index of the next exchange.
    pub fn choose(&mut self) -> usize {
        match &self.workload.order {
            Order::RoundRobin => {
                let index = self.next % self.workload.len() as u64;
                self.next += self.step;
                index as usize
            }
            Order::Weighted(sums) => {
                let total = sums.last().copied().unwrap_or(1.0);
                let point = self.random.f64() * total;
                sums.partition_point(|sum| *sum <= point)
                    .min(sums.len().saturating_sub(1))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths(count: usize) -> Vec<Exchange> {
        (0..count)
            .map(|n| Exchange::get(&format!("/{n}")))
            .collect()
    }

    #[test]
    fn zipf_gives_the_first_twice_the_weight_of_the_second() {
        let workload = Arc::new(Workload::zipf(paths(1000), 1.0).unwrap());
        let mut chooser = workload.chooser(0, 1);
        let mut counts = vec![0u32; 1000];
        for _ in 0..200_000 {
            counts[chooser.choose()] += 1;
        }
        let ratio = f64::from(counts[0]) / f64::from(counts[1]);
        assert!((1.8..2.2).contains(&ratio), "{ratio}");
        assert!(counts.iter().filter(|count| **count > 0).count() > 900);
    }

    #[test]
    fn threads_in_turn_cover_every_exchange_once() {
        let workload = Arc::new(Workload::each_in_turn(paths(10)).unwrap());
        let mut seen: Vec<usize> = (0..2)
            .flat_map(|thread| {
                let mut chooser = workload.chooser(thread, 2);
                (0..5).map(move |_| chooser.choose()).collect::<Vec<_>>()
            })
            .collect();
        seen.sort_unstable();
        assert_eq!(seen, (0..10).collect::<Vec<_>>());
    }

    #[test]
    fn a_body_is_checked_across_pieces() {
        let expected = ExpectedBody::Exactly(Bytes::from_static(b"hello"));
        let check = |pieces: &[&[u8]]| {
            let mut check = BodyCheck::new(&expected);
            pieces.iter().for_each(|piece| check.piece(piece));
            check.finish()
        };
        assert_eq!(check(&[b"he", b"llo"]), Some(5));
        assert_eq!(check(&[b"hello", b"!"]), None);
        assert_eq!(check(&[b"hell"]), None);
        assert_eq!(check(&[b"hallo"]), None);
    }
}
