//! The log's output: a bounded queue and a writer thread, so that logging never waits for whoever reads the log.

use std::{
    io::{self, Write},
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tracing_subscriber::fmt::MakeWriter;

/// The size of the queue: some ten thousand lines, which a live reader takes in a fraction of a second. Beyond it lines
/// are dropped and counted.
const MAX_WAITING: usize = 4 << 20;

/// The pause after each write, in which lines are batched: waking the thread costs more than a line.
const GATHER: Duration = Duration::from_millis(5);

/// How long shutdown waits for the last lines: a reader that has stopped does not keep the process from exiting.
const LAST_LINES: Duration = Duration::from_secs(2);

/// The number of dropped lines of this process.
static DROPPED: AtomicU64 = AtomicU64::new(0);

/// The number of lines that were dropped because the log's reader was too slow.
#[must_use]
pub fn dropped_lines() -> u64 {
    DROPPED.load(Ordering::Relaxed)
}

/// The log's output. Cloning copies a pointer.
#[derive(Clone)]
pub struct Log(Arc<Queue>);

struct Queue {
    state: Mutex<State>,
    changed: Condvar,
    max_waiting: usize,
}

#[derive(Default)]
struct State {
    waiting: Vec<u8>,
    /// Lines dropped since the last report.
    dropped: u64,
    closed: bool,
    written: bool,
}

impl Log {
    /// Starts a thread that writes the log to `out`.
    ///
    /// # Errors
    /// When the thread cannot be started.
    pub fn start(out: impl Write + Send + 'static) -> io::Result<Self> {
        Self::bounded(out, MAX_WAITING)
    }

    fn bounded(out: impl Write + Send + 'static, max_waiting: usize) -> io::Result<Self> {
        let queue = Arc::new(Queue {
            state: Mutex::default(),
            changed: Condvar::new(),
            max_waiting,
        });
        let writer = Arc::clone(&queue);
        std::thread::Builder::new()
            .name("log".to_owned())
            .spawn(move || writer.write_all_to(out))?;
        Ok(Self(queue))
    }

    /// Waits until everything is written, unless the reader has stopped; later lines are lost.
    pub fn close(&self) {
        let mut state = self.0.lock();
        state.closed = true;
        self.0.changed.notify_all();
        let unwritten = |state: &mut State| !state.written;
        let waited = self
            .0
            .changed
            .wait_timeout_while(state, LAST_LINES, unwritten);
        drop(waited);
    }
}

impl Queue {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, line: &[u8]) {
        let mut state = self.lock();
        if state.closed || state.waiting.len().saturating_add(line.len()) > self.max_waiting {
            state.dropped += 1;
            DROPPED.fetch_add(1, Ordering::Relaxed);
            return;
        }
        let was_empty = state.waiting.is_empty();
        state.waiting.extend_from_slice(line);
        drop(state);
        if was_empty {
            self.changed.notify_all();
        }
    }

    /// Writes lines until the log is closed and all are written.
    fn write_all_to(&self, mut out: impl Write) {
        let mut lines = Vec::new();
        loop {
            let mut state = self.lock();
            while state.waiting.is_empty() && !state.closed {
                let changed = self.changed.wait(state);
                state = changed.unwrap_or_else(PoisonError::into_inner);
            }
            if state.waiting.is_empty() {
                state.written = true;
                self.changed.notify_all();
                return;
            }
            lines.clear();
            std::mem::swap(&mut lines, &mut state.waiting);
            let dropped = std::mem::take(&mut state.dropped);
            let is_last = state.closed;
            drop(state);
            // A closed log must not end the gateway.
            let _ = out.write_all(&lines).and_then(|()| out.flush());
            if dropped > 0 {
                tracing::warn!(
                    dropped,
                    "lines of the log were dropped: whoever reads it is too slow"
                );
            }
            if !is_last {
                std::thread::sleep(GATHER);
            }
        }
    }
}

/// One or several lines of one event.
impl Write for &Log {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.0.push(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = &'a Self;

    fn make_writer(&'a self) -> Self::Writer {
        self
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    /// Takes nothing until it is told to.
    struct Stopped(mpsc::Receiver<()>, Arc<Mutex<Vec<u8>>>);

    impl Write for Stopped {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let _ = self.0.recv();
            self.1.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn who_writes_never_waits_and_what_does_not_fit_is_counted() {
        let (go_on, stopped) = mpsc::channel();
        let written = Arc::new(Mutex::new(Vec::new()));
        let log = Log::bounded(Stopped(stopped, Arc::clone(&written)), 100).unwrap();
        let before = dropped_lines();
        for _ in 0..1_000 {
            (&log).write_all(b"0123456789").unwrap();
        }
        // A hundred bytes wait, and a hundred more at most are with the writer.
        assert!(dropped_lines() - before >= 980);
        drop(go_on);
        log.close();
        let written = written.lock().unwrap();
        assert!((100..=200).contains(&written.len()), "{}", written.len());
    }

    #[test]
    fn the_last_lines_are_written_before_the_end() {
        let (go_on, stopped) = mpsc::channel();
        drop(go_on);
        let written = Arc::new(Mutex::new(Vec::new()));
        let log = Log::start(Stopped(stopped, Arc::clone(&written))).unwrap();
        for _ in 0..100 {
            (&log).write_all(b"line\n").unwrap();
        }
        log.close();
        assert_eq!(written.lock().unwrap().len(), 500);
    }
}
