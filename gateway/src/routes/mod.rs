//! Finds the route for host, path and method.
//!
//! A route matches when its host, its path and its methods all match. Of the matching routes the most specific wins: an
//! exact host before `*.suffix` (the longest suffix first) before no host; then, segment by segment from the left,
//! static text before `{param}` before `{*rest}`. A more specific route that does not have the method gives way to a
//! less specific one that does.
//!
//! Paths are compared in the form that [`CleanPath`] describes.
//!
//! Our own: routers such as matchit match paths only. Here the host comes first, a wrong method falls through to the
//! next matching route, and conflicting routes are reported at the start with both positions.

mod collide;
mod host;
mod pattern;
mod route;
mod table;
#[cfg(test)]
mod tests;
mod tree;

pub use collide::{Collision, collisions};
pub use host::HostPattern;
pub use pattern::{PathPattern, Segment};
pub use route::{Match, NoMatch, Route};
pub use table::RouteTable;
pub use wasmgate_common::path::CleanPath;
