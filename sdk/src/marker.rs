//! Markers by which the compiler tells handlers that answer at once from those that return a future. No program names
//! them.

/// Marks handlers that answer at once.
#[derive(Debug)]
pub enum Sync {}

/// Marks handlers that return a future.
#[derive(Debug)]
pub enum Async {}
