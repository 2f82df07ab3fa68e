//! The world of a component: which version of WASI it exports, and how it is called.

use std::fmt;

/// A supported world.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize)]
pub enum World {
    /// WASI 0.2: its handler is called once, and has ended when it returns.
    #[serde(rename = "wasi:http/proxy@0.2")]
    Proxy,
    /// WASI 0.3: its handler is called once, and its tasks may go on after it has returned.
    #[serde(rename = "wasi:http/service@0.3")]
    Service,
    /// A WASI 0.2 program, or an adapted WASI 0.1 program: it runs once per request (CGI).
    #[serde(rename = "wasi:cli/command@0.2")]
    Command,
    /// A WASI 0.3 program (CGI).
    #[serde(rename = "wasi:cli/command@0.3")]
    CommandOf03,
}

impl World {
    /// All of them.
    pub(crate) const ALL: [Self; 4] = [Self::Proxy, Self::Service, Self::Command, Self::CommandOf03];

    /// WASI's name for it, with its version.
    pub fn name(self) -> &'static str {
        match self {
            Self::Proxy => "wasi:http/proxy@0.2",
            Self::Service => "wasi:http/service@0.3",
            Self::Command => "wasi:cli/command@0.2",
            Self::CommandOf03 => "wasi:cli/command@0.3",
        }
    }

    /// Returns whether it is of WASI 0.3, with concurrent calls in one instance.
    pub(crate) fn is_concurrent(self) -> bool {
        matches!(self, Self::Service | Self::CommandOf03)
    }

    /// Returns whether it is a program.
    pub(crate) fn is_program(self) -> bool {
        matches!(self, Self::Command | Self::CommandOf03)
    }
}

impl fmt::Display for World {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
