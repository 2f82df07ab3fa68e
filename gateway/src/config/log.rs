//! `[log]`: what is logged.

use wasmgate_common::{Code, Diagnostic};

use super::reader::Section;
use crate::request_log::Requests;

/// Checked `[log]`.
#[derive(Clone, Copy, Debug, Default)]
pub struct LogConfig {
    /// Which requests have a line; unless said, all on a terminal, and otherwise those that fail.
    pub requests: Option<Requests>,
}

/// The keys of `[log]`.
const KEYS: [&str; 1] = ["requests"];

impl LogConfig {
    pub(super) fn read(root: &Section<'_>) -> Self {
        let section = root.section("log", &KEYS);
        Self {
            requests: section.and_then(|section| section.parsed("requests", "all", requests)),
        }
    }
}

fn requests(text: &str) -> Result<Requests, Diagnostic> {
    let one_in = |many: &str| many.parse().ok().filter(|many: &u32| *many > 0);
    let read = match text {
        "all" => Some(Requests::All),
        "failures" => Some(Requests::Failures),
        "none" => Some(Requests::None),
        other => other
            .strip_prefix("1/")
            .and_then(one_in)
            .map(Requests::OneIn),
    };
    read.ok_or_else(|| {
        Diagnostic::new(
            Code::InvalidValue,
            format!("{text:?} says not which requests have a line in the log"),
            "write \"all\", \"failures\", \"none\", or \"1/100\" for one in a hundred and those that fail",
        )
    })
}
