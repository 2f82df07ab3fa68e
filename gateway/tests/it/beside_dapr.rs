//! Beside a real Dapr: the coffee shop as the overlay ships it, with the sidecar, its scheduler, PostgreSQL and Redis.
//!
//! `make test-dapr-sidecar` runs these; without it they say that they are left out.

mod crashes;
mod losses;
mod orders;
mod policies;
mod rollout;
mod stores;
mod street;
