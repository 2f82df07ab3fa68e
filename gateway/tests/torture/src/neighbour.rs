//! The good package: asked at a steady rate, whatever else happens.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use tokio::{
    task::JoinSet,
    time::{sleep_until, timeout},
};

use crate::http1::Client;

/// The package, and what it answers.
pub(crate) const NAME: &str = "neighbour";
const GREETING: &str = "Hello from a package\n";

/// Connections that take turns.
const LANES: usize = 8;

/// After this long an answer counts as none.
const PATIENCE: Duration = Duration::from_secs(20);

/// What the good package's clients saw.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// Answers that were right.
    pub right: usize,
    /// Of those that were not right, what was wrong with some.
    pub wrong: Vec<String>,
    /// From the moment when a request was due, in order.
    latencies: Vec<Duration>,
}

impl Seen {
    /// The time in which 99 of 100 answers were there.
    #[must_use]
    pub fn p99(&self) -> Duration {
        self.quantile(0.99)
    }

    fn quantile(&self, share: f64) -> Duration {
        let last = self.latencies.len().saturating_sub(1);
        let at = (last as f64 * share).round() as usize;
        self.latencies.get(at).copied().unwrap_or_default()
    }
}

/// Asks the good package so often, at so many requests a second. Latencies count from when a request was due, not from
/// when it could be sent.
pub(crate) async fn ask(address: SocketAddr, requests: usize, rate: usize) -> Seen {
    let start = Instant::now();
    let due = move |number: usize| start + Duration::from_secs(1) * number as u32 / rate as u32;
    let mut lanes = JoinSet::new();
    for lane in 0..LANES {
        let numbers = (lane..requests).step_by(LANES);
        lanes.spawn(async move {
            let mut seen = Seen::default();
            let mut client = Client::new(address);
            for number in numbers {
                sleep_until(due(number).into()).await;
                match timeout(PATIENCE, request(&mut client)).await {
                    Ok(Ok(())) => seen.right += 1,
                    Ok(Err(wrong)) => seen.wrong.push(wrong),
                    Err(_) => {
                        client = Client::new(address);
                        seen.wrong.push(format!("no answer in {PATIENCE:?}"));
                    }
                }
                seen.latencies.push(due(number).elapsed());
            }
            seen
        });
    }
    let mut all = Seen::default();
    while let Some(lane) = lanes.join_next().await {
        let seen = lane.unwrap_or_default();
        all.right += seen.right;
        all.wrong.extend(seen.wrong);
        all.latencies.extend(seen.latencies);
    }
    all.latencies.sort_unstable();
    all
}

async fn request(client: &mut Client) -> Result<(), String> {
    let asked = format!("GET /{NAME} HTTP/1.1\r\nhost: {NAME}\r\n\r\n");
    match client.ask(asked.as_bytes()).await {
        Ok((200, body)) if body == GREETING.as_bytes() => Ok(()),
        Ok((status, body)) => Err(format!("{status} {:?}", String::from_utf8_lossy(&body))),
        Err(error) => Err(error.to_string()),
    }
}
