//! Errors of setting up the pool, and of a single memory or stack.

use std::io;

/// A failure to set a pool up.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A field of [`Settings`](crate::Settings) has a value that cannot work.
    #[error("setting `{name}` is {value}: it must be {rule}")]
    Setting {
        /// The field.
        name: &'static str,
        /// Its value.
        value: usize,
        /// The rule for it.
        rule: &'static str,
    },
    /// Pages could not be mapped or were not zero after a reset: nothing safe can be built on that.
    #[error("the pool's self-test could not use memory of this system")]
    SelfTest(#[source] io::Error),
}

/// A refusal of a memory or a stack. The instantiation or the call fails with it; nothing else
/// is harmed. For stacks wasmtime's error can be downcast to this type, for memories it carries only
/// the text; both are counted in [`Refusals`](crate::Refusals).
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// Every slot the limit allows is in use.
    #[error("all {limit} pooled {what} are in use: raise the limit or admit fewer instances")]
    Exhausted {
        /// The kind of slot that is used up.
        what: Exhausted,
        /// The limit in force.
        limit: usize,
    },
    /// A memory larger than a slot at its start.
    #[error("a memory of {bytes} bytes does not fit the {reservation_bytes} bytes of a pooled memory")]
    TooLarge {
        /// The size asked for, in bytes.
        bytes: usize,
        /// Address space of a slot, in bytes.
        reservation_bytes: usize,
    },
    /// Shared memories outlive instances and are written by several threads: never pooled.
    #[error("shared memories cannot be pooled")]
    Shared,
    /// The engine promises compiled code more address space than a slot has.
    #[error(
        "the engine expects {reservation_bytes} bytes reserved and {guard_bytes} of guard, more than \
         the pool's: set the engine up with wasmgate_pool::configure and leave its sizes as they are"
    )]
    Mismatch {
        /// Bytes that the engine expects reserved.
        reservation_bytes: usize,
        /// Bytes that the engine expects as a guard.
        guard_bytes: usize,
    },
    /// The kernel said no.
    #[error("the kernel refused pages for a pooled memory or stack")]
    Kernel(#[from] io::Error),
}

/// A kind of slot that a pool can run out of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Exhausted {
    /// Linear memories.
    Memories,
    /// Fiber stacks.
    Stacks,
}

impl std::fmt::Display for Exhausted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Memories => "memories",
            Self::Stacks => "stacks",
        })
    }
}
