//! What the gateway and its Dapr runtime share.

mod app_id;
mod diagnostic;
mod hop_by_hop;
mod local;
mod own_places;
pub mod path;
mod private;
mod problem;
mod small_file;
mod trace_context;
mod yaml;

pub use app_id::{AppId, AppIdError};
pub use diagnostic::{Code, Diagnostic, Diagnostics, Place, Position};
pub use hop_by_hop::{is_hop_by_hop, remove_connection_options, remove_hop_by_hop};
pub use local::{is_loopback, is_ours, single};
pub use own_places::OwnPlaces;
pub use private::{NotPrivate, check_private, create_private_dir, open_private};
pub use problem::{NoMembers, Problem};
pub use small_file::{read_file, read_text_file};
pub use trace_context::{TRACEPARENT, TRACESTATE, TraceParent, ensure_traceparent, is_traceparent};
pub use yaml::{MOST_BRACKETS, is_deep};
