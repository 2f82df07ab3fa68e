//! Paths of calls, as Dapr reads them.

use super::answer::refuse;
use crate::{Response, percent};

/// The segments of a path as they are written, without empty ones.
pub(super) fn raw_segments(path: &str) -> Vec<&str> {
    path.split('/')
        .filter(|segment| !segment.is_empty())
        .collect()
}

/// A segment decoded; in the path of a call a plus sign is a blank.
///
/// # Errors
/// When it is not percent-encoded UTF-8, or leads elsewhere.
pub(super) fn decode(segment: &str) -> Result<String, Response> {
    let malformed = |reason: &str| {
        refuse(
            400,
            "ERR_MALFORMED_REQUEST",
            &format!("{segment:?} {reason}"),
        )
    };
    let mut escapes = segment.split('%');
    let _before_the_first = escapes.next();
    let is_escape = |rest: &str| rest.len() >= 2 && rest.bytes().take(2).all(|byte| byte.is_ascii_hexdigit());
    if !escapes.all(is_escape) {
        return malformed("is not percent-encoded; write % as %25");
    }
    let decoded = percent::decode(segment);
    // An escape is longer than what it stands for, so what is as it was could not be decoded.
    if segment.contains('%') && decoded == segment {
        return malformed("is not UTF-8");
    }
    let mut parts = decoded.split(['/', '\\']);
    if decoded.contains('\0') || parts.any(|part| matches!(part, "." | "..")) {
        return malformed("may not be a part of a path: no `.`, `..` or NUL");
    }
    Ok(decoded.into_owned())
}
