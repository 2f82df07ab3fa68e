//! Short loads against real servers on loopback.

mod harness;
mod load;
mod program;
mod stall;
