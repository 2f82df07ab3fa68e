//! Admission control: permits for instances and for outgoing requests, and their queues.

mod permits;

pub(crate) use permits::{Permit, Permits};
