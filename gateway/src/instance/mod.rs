//! One request in one fresh instance: its state, its limits, its deadline, its body.

mod call;
mod host;
mod memory;
mod output;
mod request_body;
mod response_body;

pub use call::{Call, run};
pub use host::HostState;
pub use request_body::RequestBody;
pub use response_body::{GuestBody, RouteTimer};
