//! Host, path and method to the route that answers.
//!
//! A route matches when its host, its path and its methods all match. Of the routes that match, the
//! most specific wins: an exact host before `*.suffix` (the longest suffix first) before no host;
//! then, segment by segment from the left, static text before `{param}` before `{*rest}`. A more
//! specific route that does not take the method gives way to a less specific one that does.
//!
//! Paths are compared in the form that [`CleanPath`] describes.
//!
//! Kept by hand: routers such as matchit know paths alone. Here a host comes before the path, a method sends the search
//! on to the next route that fits, and two routes that collide are told at the start by both their places.

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
