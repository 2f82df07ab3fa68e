//! Metadata of calls and events that is forwarded.

use wasmgate_common::is_hop_by_hop;

/// Headers that metadata of an event may not become at its subscribers: they would break the delivery, or vouch for it.
/// Those that are hop by hop may not either.
const NO_METADATA: [&str; 3] = ["content-length", "host", "expect"];

/// Returns whether metadata of this name is sent on: a plain word, as all that Dapr knows are, and no header that is
/// not its own.
pub(super) fn is_allowed(key: &str) -> bool {
    let is_word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    let lower = key.to_ascii_lowercase();
    !key.is_empty()
        && key.chars().all(is_word)
        && !lower.starts_with("dapr-")
        && !lower.starts_with("wasmgate-")
        && !NO_METADATA.contains(&lower.as_str())
        && !is_hop_by_hop(&lower)
}
