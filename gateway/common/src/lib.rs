//! What the gateway and its Dapr runtime both stand on, so that neither has a copy of its own.

mod private;

pub use private::{NotPrivate, check_private, create_private_dir, open_private};
