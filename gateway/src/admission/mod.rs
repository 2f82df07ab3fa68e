//! Who may come in: permits of instances and of requests to outside, and who waits for one.

mod permits;

pub(crate) use permits::{Permit, Permits};
