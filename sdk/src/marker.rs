//! Markers by which the compiler tells handlers that answer at once from those that return a future, and errors of
//! their own kind from others. No program names them.

/// Marks handlers that answer at once.
#[derive(Debug)]
pub enum Sync {}

/// Marks handlers that return a future.
#[derive(Debug)]
pub enum Async {}

/// Marks handlers that answer at once, or fail with an [`OpaqueError`](crate::OpaqueError).
#[derive(Debug)]
pub enum OpaqueSync {}

/// Marks handlers that return a future, which may fail with an [`OpaqueError`](crate::OpaqueError).
#[derive(Debug)]
pub enum OpaqueAsync {}

/// Marks answers that have been made already.
#[derive(Debug)]
pub enum Made {}
