//! What a hostile client does on one connection, step by step.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use parking_lot::Mutex;
use socket2::SockRef;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::tcp::{OwnedReadHalf, OwnedWriteHalf},
    task::JoinSet,
    time::{Instant, sleep, timeout},
};

use crate::{http1, http2};

/// The longest that a step may take: a gateway that does not read ends it.
const STEP: Duration = Duration::from_secs(4);

/// The time in which an answer that has begun is taken to be there.
const SETTLED: Duration = Duration::from_millis(150);

/// Between two looks at what was heard.
const LOOK_AGAIN: Duration = Duration::from_millis(5);

/// Bytes of answers that are kept.
const KEPT: usize = 1 << 20;

/// What a client does on one connection.
#[derive(Clone, Debug, Default)]
pub(crate) struct Script {
    steps: Vec<Step>,
    /// It never reads, and its window is small.
    deaf: bool,
    /// At the end the connection is reset rather than closed.
    resets: bool,
    /// How long it waits for an answer at its end.
    patience: Duration,
}

#[derive(Clone, Debug)]
enum Step {
    Send(Arc<[u8]>),
    Repeat(usize, Arc<[u8]>),
    Drip(Arc<[u8]>, Duration),
    Wait(Duration),
    Answer,
    HalfClose,
}

impl Script {
    pub(crate) fn new() -> Self {
        Self {
            patience: Duration::from_secs(5),
            ..Self::default()
        }
    }

    fn step(mut self, step: Step) -> Self {
        self.steps.push(step);
        self
    }

    pub(crate) fn send(self, bytes: impl AsRef<[u8]>) -> Self {
        self.step(Step::Send(bytes.as_ref().into()))
    }

    pub(crate) fn repeat(self, times: usize, bytes: impl AsRef<[u8]>) -> Self {
        self.step(Step::Repeat(times, bytes.as_ref().into()))
    }

    /// Sends byte by byte, with a pause after each.
    pub(crate) fn drip(self, bytes: impl AsRef<[u8]>, pause_ms: u64) -> Self {
        let pause = Duration::from_millis(pause_ms);
        self.step(Step::Drip(bytes.as_ref().into(), pause))
    }

    pub(crate) fn wait(self, ms: u64) -> Self {
        self.step(Step::Wait(Duration::from_millis(ms)))
    }

    /// Waits until an answer has begun.
    pub(crate) fn answer(self) -> Self {
        self.step(Step::Answer)
    }

    /// Ends the sending side.
    pub(crate) fn half_close(self) -> Self {
        self.step(Step::HalfClose)
    }

    pub(crate) fn deaf(mut self) -> Self {
        self.deaf = true;
        self
    }

    pub(crate) fn resets(mut self) -> Self {
        self.resets = true;
        self
    }

    pub(crate) fn patience(mut self, ms: u64) -> Self {
        self.patience = Duration::from_millis(ms);
        self
    }
}

/// What was read so far, and whether that is all.
#[derive(Default)]
struct Heard {
    bytes: Vec<u8>,
    ended: bool,
}

/// Plays a script on a connection of its own and says what came back.
pub(crate) async fn play(script: &Script, from: SocketAddr, to: SocketAddr) -> String {
    let window = script.deaf.then_some(4096);
    let Ok(stream) = http1::connect(from, to, window).await else {
        return "no connection".to_owned();
    };
    if script.resets {
        let _ = SockRef::from(&stream).set_linger(Some(Duration::ZERO));
    }
    let heard = Arc::new(Mutex::new(Heard::default()));
    let (read, mut write) = stream.into_split();
    let mut listening = JoinSet::new();
    let mut unread = Some(read);
    if !script.deaf {
        listening.spawn(listen(unread.take(), Arc::clone(&heard)));
    }
    for step in &script.steps {
        if !matches!(
            timeout(STEP, take(step, &mut write, &heard)).await,
            Ok(true)
        ) {
            break;
        }
    }
    let deadline = Instant::now() + script.patience;
    if script.deaf {
        sleep(script.patience).await;
        let _ = timeout(SETTLED, listen(unread.take(), Arc::clone(&heard))).await;
    }
    // What has begun to answer is given a moment more, what is silent the rest of its patience.
    while Instant::now() < deadline && !heard.lock().ended {
        if !heard.lock().bytes.is_empty() {
            sleep(SETTLED.min(deadline - Instant::now())).await;
            break;
        }
        sleep(LOOK_AGAIN).await;
    }
    let heard = heard.lock();
    match http2::told(&heard.bytes, heard.ended) {
        Some(told) => told,
        None => http1::told(&heard.bytes, heard.ended),
    }
}

async fn listen(read: Option<OwnedReadHalf>, heard: Arc<Mutex<Heard>>) {
    let mut buffer = vec![0; 64 << 10];
    if let Some(mut read) = read {
        while let Ok(length @ 1..) = read.read(&mut buffer).await {
            let mut heard = heard.lock();
            if heard.bytes.len() < KEPT {
                heard.bytes.extend(buffer.iter().take(length));
            }
        }
    }
    heard.lock().ended = true;
}

/// Does one step; `false` when the gateway has closed.
async fn take(step: &Step, write: &mut OwnedWriteHalf, heard: &Mutex<Heard>) -> bool {
    match step {
        Step::Send(bytes) => write.write_all(bytes).await.is_ok(),
        Step::Repeat(times, bytes) => {
            for _ in 0..*times {
                if write.write_all(bytes).await.is_err() {
                    return false;
                }
            }
            true
        }
        Step::Drip(bytes, pause) => {
            for byte in bytes.iter() {
                if write.write_all(&[*byte]).await.is_err() {
                    return false;
                }
                sleep(*pause).await;
            }
            true
        }
        Step::Wait(time) => {
            sleep(*time).await;
            true
        }
        Step::Answer => {
            while heard.lock().bytes.is_empty() {
                if heard.lock().ended {
                    return false;
                }
                sleep(LOOK_AGAIN).await;
            }
            true
        }
        Step::HalfClose => write.shutdown().await.is_ok(),
    }
}
