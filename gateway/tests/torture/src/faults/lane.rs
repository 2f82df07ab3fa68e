//! One client of the long run: it knows what is right, and what it saved.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use fastrand::Rng;
use tokio::time::timeout;

use super::{Addresses, KEPT, PATIENCE, Run};
use crate::http1::Client;

/// An answer that took so long may be wrong because of the machine.
const LONG: Duration = Duration::from_secs(1);

/// A client.
pub(super) struct Lane {
    run: Arc<Run>,
    /// When the latest request was sent.
    begun: Instant,
    random: Rng,
    /// The gateway with everything in it.
    main: Shelf,
    /// The one beside a sidecar.
    beside: Shelf,
    upstream: String,
}

/// A connection to one of the gateways, and a key that nobody else writes there.
struct Shelf {
    client: Client,
    key: String,
    /// What the key may hold: more than one value after a save without an answer.
    saved: Vec<String>,
}

impl Shelf {
    fn new(client: Client, key: String) -> Self {
        let saved = vec![String::new()];
        Self { client, key, saved }
    }
}

impl Lane {
    pub(super) fn new(run: &Arc<Run>, addresses: Addresses, seed: u64, lane: u64) -> Self {
        let key = format!("lane-{seed}-{lane}");
        Self {
            run: Arc::clone(run),
            begun: Instant::now(),
            random: Rng::with_seed(seed.wrapping_mul(1000) + lane),
            main: Shelf::new(Client::new(addresses.main), key.clone()),
            beside: Shelf::new(Client::new(addresses.beside), key),
            upstream: addresses.upstream.to_string(),
        }
    }

    /// Sends one request of some kind, and looks at its answer.
    pub(super) async fn request(&mut self) {
        match self.random.u8(0..100) {
            0..32 => self.greet(false).await,
            // Whatever becomes of the sidecar, who does not need it notices nothing.
            32..36 => self.greet(true).await,
            36..38 => self.save(true).await,
            38..40 => self.look(true).await,
            40..44 => self.call_out().await,
            44..55 => self.echo().await,
            55..63 => {
                self.expect("/counter", b"", |status, body| {
                    status == 200 && body == b"1"
                })
                .await
            }
            63..70 => self.expect("/panics", b"", |status, _| status == 502).await,
            70..74 => self.expect("/exits", b"", |status, _| status == 502).await,
            74..80 => {
                let n = self.random.u32(..1000);
                let right = move |status, body: &[u8]| {
                    if n.is_multiple_of(10) {
                        status == 502
                    } else {
                        status == 200 && body == n.to_string().as_bytes()
                    }
                };
                self.expect(&format!("/tenth?n={n}"), b"", right).await;
            }
            80..82 => self.expect("/spins", b"", |status, _| status == 504).await,
            82..84 => self.expect("/hangs", b"", |status, _| status == 504).await,
            84..90 => self.save(false).await,
            90..95 => self.look(false).await,
            95..97 => self.abandon("/hangs").await,
            97..98 => self.abandon("/dies").await,
            _ => self.abandon("/streams?n=1000000").await,
        }
    }

    async fn greet(&mut self, is_beside: bool) {
        let request = head("GET", "/neighbour", "", b"");
        let name = if is_beside {
            "beside: /neighbour"
        } else {
            "/neighbour"
        };
        let answer = self.answer(is_beside, name, &request).await;
        if let Some((status, body)) = answer
            && !(status == 200 && body == b"Hello from a package\n")
        {
            self.wrong(
                is_beside,
                format!("{name} was answered {status} {}", start(&body)),
                status == 503 && !is_beside,
            );
        }
    }

    async fn echo(&mut self) {
        let mut body = vec![0; self.random.usize(0..8192)];
        self.random.fill(&mut body);
        let sent = body.clone();
        self.expect("/echo", &body, move |status, body| {
            status == 200 && body == sent
        })
        .await;
    }

    /// Has a package call an upstream that fails now and then.
    async fn call_out(&mut self) {
        let path = format!("/out?first=500&to=http://{}/", self.upstream);
        self.expect(&path, b"", |status, body| {
            let text = String::from_utf8_lossy(body);
            let is_told = text.contains("ErrorCode::");
            matches!(status, 200 | 502) && (text == "upstream" || is_told) || status == 504
        })
        .await;
    }

    async fn expect(&mut self, path: &str, body: &[u8], right: impl FnOnce(u16, &[u8]) -> bool) {
        let request = head("POST", path, "", body);
        let name = path.split('?').next().unwrap_or_default();
        if let Some((status, answer)) = self.answer(false, name, &request).await
            && !right(status, &answer)
        {
            let told = format!("{path} was answered {status} {}", start(&answer));
            self.wrong(false, told, status == 503);
        }
    }

    fn shelf(&mut self, is_beside: bool) -> &mut Shelf {
        if is_beside {
            &mut self.beside
        } else {
            &mut self.main
        }
    }

    /// The answer to a request; none if there is none, which is told.
    async fn answer(&mut self, is_beside: bool, name: &str, request: &[u8]) -> Option<(u16, Vec<u8>)> {
        self.begun = Instant::now();
        let client = &mut self.shelf(is_beside).client;
        let answer = timeout(PATIENCE, client.ask(request)).await;
        let told = match &answer {
            Ok(Ok((status, _))) => status.to_string(),
            Ok(Err(error)) => error.kind().to_string(),
            Err(_) => "no answer in time".to_owned(),
        };
        let answers = format!("{name} {told}");
        *self.run.told.lock().answers.entry(answers).or_insert(0) += 1;
        match answer {
            Ok(Ok(answer)) => Some(answer),
            Ok(Err(error)) => {
                // No fault touches the process beside the sidecar.
                self.wrong(is_beside, format!("{name}: {error}"), !is_beside);
                None
            }
            Err(_) => {
                let client = &mut self.shelf(is_beside).client;
                *client = Client::new(client.address());
                self.wrong(
                    is_beside,
                    format!("{name}: no answer in {PATIENCE:?}"),
                    false,
                );
                None
            }
        }
    }

    async fn save(&mut self, is_beside: bool) {
        // Long ones now and then: short ones find room in the files that are there, however full the disk is.
        let most = if self.random.u8(..4) == 0 {
            100_000
        } else {
            2000
        };
        let (tag, length) = (self.random.u64(..), self.random.usize(0..most));
        let value = format!("{tag}-{}", "v".repeat(length));
        let key = &self.shelf(is_beside).key;
        let body = format!("[{{\"key\":\"{key}\",\"value\":\"{value}\"}}]");
        let request = head(
            "POST",
            "/state",
            "x-call: /v1.0/state/statestore\r\n",
            body.as_bytes(),
        );
        let name = if is_beside { "beside: save" } else { "save" };
        let answer = self.answer(is_beside, name, &request).await;
        let shelf = self.shelf(is_beside);
        match answer {
            Some((204, _)) => shelf.saved = vec![value],
            Some((status, answer)) => {
                shelf.saved.push(value);
                let told = format!("{name} was answered {status} {}", start(&answer));
                self.wrong(is_beside, told, forgivable(status, is_beside));
            }
            None => shelf.saved.push(value),
        }
    }

    async fn look(&mut self, is_beside: bool) {
        let key = &self.shelf(is_beside).key;
        let call = format!("x-call: /v1.0/state/statestore/{key}\r\n");
        let request = head("GET", "/state", &call, b"");
        let name = if is_beside { "beside: look" } else { "look" };
        match self.answer(is_beside, name, &request).await {
            Some((200 | 204, answer)) => {
                let text = String::from_utf8_lossy(&answer);
                let text = text.trim_matches('"');
                let shelf = self.shelf(is_beside);
                if shelf.saved.iter().any(|saved| saved == text) {
                    shelf.saved = vec![text.to_owned()];
                } else {
                    let some = text.get(..40).unwrap_or(text);
                    let told = format!(
                        "{name}: {} holds {some:?}, which was not saved last",
                        shelf.key
                    );
                    self.wrong(is_beside, told, false);
                }
            }
            Some((status, _)) => {
                let told = format!("{name} was answered {status}");
                self.wrong(is_beside, told, forgivable(status, is_beside));
            }
            None => {}
        }
    }

    async fn abandon(&mut self, path: &str) {
        let after = Duration::from_millis(self.random.u64(0..30));
        let request = head("GET", path, "", b"");
        let gone = self.main.client.abandon(&request, after).await;
        let told = if gone.is_ok() {
            "abandoned"
        } else {
            "no connection"
        };
        let name = path.split('?').next().unwrap_or_default();
        *self
            .run
            .told
            .lock()
            .answers
            .entry(format!("{name} {told}"))
            .or_insert(0) += 1;
    }

    /// Tells what is wrong, unless it may be so while there are faults and there are some.
    fn wrong(&self, is_beside: bool, what: String, forgivable: bool) {
        let spell = if is_beside {
            &self.run.sidecar_away
        } else {
            &self.run.forgiving
        };
        if forgivable && spell.has_met(self.begun) {
            return;
        }
        let took = self.begun.elapsed();
        let what = match took >= LONG {
            true => {
                let waited = self.run.waits.since(self.begun);
                format!("{what} after {took:.1?}, in which the gateway's workers waited {waited:.1?} for a processor")
            }
            false => what,
        };
        self.run.wrong(what);
    }
}

impl Run {
    /// Keeps what is wrong, of the first ones.
    pub(super) fn wrong(&self, what: String) {
        let mut told = self.told.lock();
        let same = told.wrong.iter().filter(|known| **known == what).count();
        if told.wrong.len() < KEPT && same < KEPT / 10 {
            told.wrong.push(what);
        }
    }
}

/// What a call of the building blocks may get while there are faults.
fn forgivable(status: u16, is_beside: bool) -> bool {
    if is_beside {
        // It is not there, or it went while it had the call.
        matches!(status, 502..=504)
    } else {
        matches!(status, 500 | 503 | 507)
    }
}

fn start(body: &[u8]) -> String {
    let start = body.get(..200).unwrap_or(body);
    format!("{:?}", String::from_utf8_lossy(start))
}

fn head(method: &str, path: &str, lines: &str, body: &[u8]) -> Vec<u8> {
    let length = body.len();
    let head = format!("{method} {path} HTTP/1.1\r\nhost: x\r\n{lines}content-length: {length}\r\n\r\n");
    [head.as_bytes(), body].concat()
}
