//! One request in one fresh instance: its state, its limits, its deadline, its body.

mod answer;
mod budget;
mod call;
mod host;
mod label;
mod memory;
mod output;
mod request_body;
mod response_body;
mod unread;

pub use answer::link;
pub use budget::OutputBudget;
pub use call::{Call, run};
pub use host::HostState;
pub use request_body::RequestBody;
pub use response_body::{GuestBody, RouteTimer};
