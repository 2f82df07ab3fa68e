//! The sizes of a guest's stack.

use std::fmt;

/// The part of a stack that is reserved for host functions, in bytes.
const HOST_BYTES: usize = 256 << 10;

/// The size of a guest's stack. It is a setting of the engine, so there are only a few choices.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, serde::Serialize)]
pub enum StackSize {
    /// 512 KiB, wasmtime's default: enough for an interpreter to parse JSON nested a thousand levels deep.
    #[default]
    #[serde(rename = "512KiB")]
    Half,
    /// 1 MiB.
    #[serde(rename = "1MiB")]
    One,
    /// 2 MiB.
    #[serde(rename = "2MiB")]
    Two,
    /// 4 MiB.
    #[serde(rename = "4MiB")]
    Four,
    /// 8 MiB, like the main thread of a process.
    #[serde(rename = "8MiB")]
    Eight,
}

impl StackSize {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Half, Self::One, Self::Two, Self::Four, Self::Eight];

    /// Its name in the configuration.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Half => "512KiB",
            Self::One => "1MiB",
            Self::Two => "2MiB",
            Self::Four => "4MiB",
            Self::Eight => "8MiB",
        }
    }

    /// The size for the guest's own frames, in bytes.
    pub(super) const fn wasm_bytes(self) -> usize {
        match self {
            Self::Half => 512 << 10,
            Self::One => 1 << 20,
            Self::Two => 2 << 20,
            Self::Four => 4 << 20,
            Self::Eight => 8 << 20,
        }
    }

    /// The total size with the host's part, in bytes. It is only address space until it is used.
    pub(super) const fn all_bytes(self) -> usize {
        self.wasm_bytes() + HOST_BYTES
    }
}

impl fmt::Display for StackSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
