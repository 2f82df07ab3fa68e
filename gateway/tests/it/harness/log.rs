//! The output of a process, collected line by line while it runs.

use std::{
    io::{BufRead as _, BufReader, Read},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
};

use serde_json::Value;

use super::LOOK_AGAIN;

/// The lines of one output of a process.
pub(crate) struct Lines {
    seen: Arc<Mutex<Vec<String>>>,
    stopped: Arc<AtomicBool>,
    reader: JoinHandle<()>,
}

impl Lines {
    /// Reads an output on a thread of its own until it closes.
    pub(crate) fn collect(output: impl Read + Send + 'static) -> Self {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let sink = Arc::clone(&seen);
        let stopped = Arc::new(AtomicBool::new(false));
        let stop = Arc::clone(&stopped);
        let reader = std::thread::spawn(move || {
            let mut output = BufReader::new(output);
            let mut line = Vec::new();
            while output
                .read_until(b'\n', &mut line)
                .is_ok_and(|bytes| bytes > 0)
            {
                let text = String::from_utf8_lossy(&line).trim_end().to_owned();
                sink.lock().unwrap().push(text);
                line.clear();
                while stop.load(Ordering::Relaxed) {
                    std::thread::sleep(LOOK_AGAIN);
                }
            }
        });
        Self {
            seen,
            stopped,
            reader,
        }
    }

    /// Reads no further, and leaves the output open: whoever writes to it has to wait once the pipe is full.
    pub(crate) fn stop(&self) {
        self.stopped.store(true, Ordering::Relaxed);
    }

    /// Whether there is nothing more to come, or nobody who reads it.
    pub(crate) fn are_whole(&self) -> bool {
        self.reader.is_finished() || self.stopped.load(Ordering::Relaxed)
    }

    /// All lines so far.
    pub(crate) fn all(&self) -> Vec<String> {
        self.seen.lock().unwrap().clone()
    }

    /// All lines, once the process has closed its output.
    pub(crate) fn whole(self) -> String {
        self.reader.join().unwrap();
        self.seen.lock().unwrap().join("\n")
    }
}

/// One event of the gateway's JSON log.
#[derive(Debug)]
pub(crate) struct Event(Value);

impl Event {
    /// The event on a line, when the line is one.
    pub(crate) fn parse(line: &str) -> Option<Self> {
        serde_json::from_str::<Value>(line)
            .ok()
            .filter(Value::is_object)
            .map(Self)
    }

    /// A field of the event, wherever the formatter puts fields.
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        self.0
            .get(name)
            .or_else(|| self.0.get("fields")?.get(name))?
            .as_str()
    }

    /// Returns whether the fields have these values.
    pub(crate) fn has(&self, fields: &[(&str, &str)]) -> bool {
        fields
            .iter()
            .all(|(name, value)| self.field(name) == Some(value))
    }
}
