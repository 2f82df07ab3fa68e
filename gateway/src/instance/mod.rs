//! One request in one fresh instance: its state, its limits, its deadline, its body.

mod answer;
mod backtrace;
mod budget;
mod call;
mod command;
mod deadline;
mod handed;
mod holdings;
mod host;
mod kept_stream;
mod label;
mod loaded;
mod memory;
mod outgoing_response;
mod output;
mod pace;
mod proxy;
mod request_body;
mod response_body;
mod script;
mod service;
mod store;
mod turns;
mod unread;

pub(crate) use call::{Call, run};
pub(crate) use host::HostState;
pub(crate) use loaded::{Handler, Loaded};
pub(crate) use outgoing_response::link;
pub(crate) use request_body::RequestBody;
pub(crate) use response_body::{GuestBody, RouteTimer};
pub(crate) use script::Mount;
