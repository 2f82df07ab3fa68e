//! Paths of requests, in the three ways in which they are read, and the one in which they are written.
//!
//! - [`CleanPath`]: the one form in which routes compare paths. Nothing is refused, and what may mean a slash stays
//!   encoded.
//! - [`lenient`]: a path as the most lenient app might read it, for telling which paths nobody may call from outside.
//! - [`segments`] and [`parameters`]: a path of an API, decoded. What another reader might take for another path is
//!   refused.
//!
//! [`from_segments`] and the `encode_` functions write what was read.

mod clean;
mod encode;
mod lenient;
mod segments;

pub use clean::{CleanPath, clean_encoding};
pub use encode::{encode_component, encode_path};
pub use lenient::lenient;
pub use segments::{PathError, from_segments, is_route, parameters, raw_segments, segments, with_leading_slash};

/// Returns whether a segment, decoded, leads elsewhere (RFC 3986, 3.3).
fn is_dot_segment(segment: &str) -> bool {
    matches!(segment, "." | "..")
}
