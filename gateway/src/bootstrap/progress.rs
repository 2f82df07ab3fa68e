//! Progress of compilations: large components take minutes.

use std::{
    collections::BTreeMap,
    io::{self, IsTerminal as _, Write as _},
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use parking_lot::{Condvar, Mutex};

use crate::config::PackageConfig;

/// The time after which progress is shown.
const PATIENCE: Duration = Duration::from_secs(1);

/// The interval of updates.
const LOOK_AGAIN: Duration = Duration::from_millis(250);

/// The maximum length of the progress line, so that it fits a terminal.
const MAX_LINE: usize = 79;

/// Clears the progress line.
const CLEAR: &str = "\r\x1b[K";

/// How progress is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Show {
    /// By a line that is updated, and one for each finished package.
    Live,
    /// In the log, when it takes long and when it ends.
    Log,
}

impl Show {
    /// What fits standard error.
    pub(super) fn at_start() -> Self {
        if io::stderr().is_terminal() {
            Self::Live
        } else {
            Self::Log
        }
    }
}

/// Shows what takes longer than a second, until it is dropped.
pub(super) struct Progress {
    shared: Arc<Shared>,
}

struct Shared {
    show: Show,
    patience: Duration,
    write: fn(&str),
    at_work: Mutex<AtWork>,
    ended: Condvar,
}

#[derive(Default)]
struct AtWork {
    packages: BTreeMap<String, Work>,
    has_ended: bool,
    /// The progress line is visible.
    is_shown: bool,
}

struct Work {
    bytes: u64,
    began: Instant,
    is_told: bool,
}

impl Progress {
    /// Starts to show progress.
    pub(super) fn new(show: Show) -> Self {
        Self::to(show, PATIENCE, write)
    }

    fn to(show: Show, patience: Duration, write: fn(&str)) -> Self {
        let shared = Arc::new(Shared {
            show,
            patience,
            write,
            at_work: Mutex::default(),
            ended: Condvar::new(),
        });
        let watched = Arc::clone(&shared);
        // Without a thread nothing is shown.
        let _ = thread::Builder::new()
            .name("progress".to_owned())
            .spawn(move || watched.tell_until_ended());
        Self { shared }
    }

    /// Runs work for a package.
    pub(super) fn of<T, E>(&self, package: &PackageConfig, work: impl FnOnce() -> Result<T, E>) -> Result<T, E> {
        let name = package.name.to_string();
        let begun = Work {
            bytes: bytes(package),
            began: Instant::now(),
            is_told: false,
        };
        self.shared
            .at_work
            .lock()
            .packages
            .insert(name.clone(), begun);
        let done = work();
        let mut at_work = self.shared.at_work.lock();
        if let Some(work) = at_work.packages.remove(&name)
            && work.is_told
        {
            self.shared
                .tell_end(&mut at_work, &name, &work, done.is_ok());
        }
        done
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        let mut at_work = self.shared.at_work.lock();
        at_work.has_ended = true;
        self.shared.clear(&mut at_work);
        self.shared.ended.notify_all();
    }
}

impl Shared {
    fn tell_until_ended(&self) {
        let mut at_work = self.at_work.lock();
        while !at_work.has_ended {
            self.ended.wait_for(&mut at_work, LOOK_AGAIN);
            if !at_work.has_ended {
                self.tell(&mut at_work);
            }
        }
    }

    /// Shows what has been running for long.
    fn tell(&self, at_work: &mut AtWork) {
        let mut line = Vec::new();
        for (package, work) in &mut at_work.packages {
            let elapsed = work.began.elapsed();
            if elapsed < self.patience {
                continue;
            }
            let is_first = !std::mem::replace(&mut work.is_told, true);
            match self.show {
                Show::Live => line.push(format!(
                    "{package} ({}) {} s",
                    size(work.bytes),
                    elapsed.as_secs()
                )),
                Show::Log if is_first => tracing::info!(%package, bytes = work.bytes, "compiling"),
                Show::Log => {}
            }
        }
        if !line.is_empty() {
            let line = format!("compiling {}", line.join(", "));
            let line: String = line.chars().take(MAX_LINE).collect();
            (self.write)(&format!("{CLEAR}{line}"));
            at_work.is_shown = true;
        }
    }

    fn tell_end(&self, at_work: &mut AtWork, package: &str, work: &Work, is_done: bool) {
        let elapsed = work.began.elapsed();
        let what = if is_done { "compiled" } else { "not compiled" };
        match self.show {
            Show::Live => {
                self.clear(at_work);
                (self.write)(&format!(
                    "{what} {package} ({}) in {:.1} s\n",
                    size(work.bytes),
                    elapsed.as_secs_f64()
                ));
            }
            Show::Log => {
                let milliseconds = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX);
                tracing::info!(package, bytes = work.bytes, milliseconds, "{what}");
            }
        }
    }

    /// Clears the progress line.
    fn clear(&self, at_work: &mut AtWork) {
        if std::mem::take(&mut at_work.is_shown) {
            (self.write)(CLEAR);
        }
    }
}

/// The size of a package's component, if it is in a file.
fn bytes(package: &PackageConfig) -> u64 {
    let file = package.source.file();
    let file = file.and_then(|file| file.metadata().ok());
    file.map_or(0, |file| file.len())
}

fn size(bytes: u64) -> String {
    format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20))
}

fn write(text: &str) {
    let mut out = io::stderr().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::{Environment, parse};

    static SHOWN: Mutex<String> = Mutex::new(String::new());

    #[test]
    fn what_takes_long_has_a_line_while_it_does_and_one_when_it_is_done() {
        let text = "[package.greeter]\nsource = \"Cargo.toml\"\n[[route]]\npath = \"/\"\npackage = \"greeter\"";
        let config = parse(
            text.as_bytes(),
            Path::new("x.toml"),
            &Environment::default(),
        )
        .unwrap();
        let package = config.packages.first().unwrap();
        let write = |text: &str| SHOWN.lock().push_str(text);
        // What is done at once is not worth a word.
        let progress = Progress::to(Show::Live, PATIENCE, write);
        progress.of(package, || Ok::<_, ()>(())).unwrap();
        drop(progress);
        assert_eq!(*SHOWN.lock(), "");
        let progress = Progress::to(Show::Live, Duration::ZERO, write);
        let told = progress.of(package, || {
            let deadline = Instant::now() + Duration::from_secs(60);
            while SHOWN.lock().is_empty() {
                assert!(Instant::now() < deadline);
                thread::yield_now();
            }
            let shown = SHOWN.lock().clone();
            Err::<(), _>(shown)
        });
        assert!(
            told.unwrap_err()
                .starts_with("\r\x1b[Kcompiling greeter (0.0 MiB) 0 s")
        );
        let end = "\r\x1b[Knot compiled greeter (0.0 MiB) in ";
        assert!(SHOWN.lock().contains(end), "{}", SHOWN.lock());
    }
}
