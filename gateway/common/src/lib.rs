//! What the gateway and its Dapr runtime both stand on, so that neither has a copy of its own.

mod app_id;
mod diagnostic;
mod local;
mod private;

pub use app_id::{AppId, AppIdError};
pub use diagnostic::{Code, Diagnostic, Diagnostics, Place, Position};
pub use local::{is_loopback, is_ours, single};
pub use private::{NotPrivate, check_private, create_private_dir, open_private};
