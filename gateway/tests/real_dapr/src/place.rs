//! The places where a test's processes listen and keep their files.

use std::{
    hash::{BuildHasher as _, RandomState},
    net::{Ipv4Addr, SocketAddr, TcpListener},
    os::unix::fs::PermissionsExt,
    path::Path,
};

use tempfile::TempDir;

/// The port that is bound as long as an address is in use by a test.
const HOLD: u16 = 47;

/// A loopback address and a folder that are this value's alone. All of 127.0.0.0/8 is this machine (RFC 1122,
/// 3.2.1.3), so there is an address for everybody; which is taken shows a listener on it.
pub struct Place {
    address: Ipv4Addr,
    folder: TempDir,
    _hold: TcpListener,
}

impl Place {
    /// An address that nobody has, and an empty folder that every user may look into.
    #[expect(
        clippy::new_without_default,
        reason = "it takes something of the machine"
    )]
    pub fn new() -> Self {
        let folder = TempDir::new().unwrap();
        // PostgreSQL's user reads below it.
        std::fs::set_permissions(folder.path(), PermissionsExt::from_mode(0o755)).unwrap();
        let (address, hold) = std::iter::repeat_with(any_address)
            .find_map(|address| Some((address, TcpListener::bind((address, HOLD)).ok()?)))
            .expect("an address");
        Self {
            address,
            folder,
            _hold: hold,
        }
    }

    /// The address with a port.
    pub fn at(&self, port: u16) -> SocketAddr {
        (self.address, port).into()
    }

    /// The address.
    pub fn address(&self) -> Ipv4Addr {
        self.address
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }
}

/// Any loopback address but the usual ones.
fn any_address() -> Ipv4Addr {
    let [second, third, fourth, ..] = RandomState::new().hash_one(HOLD).to_le_bytes();
    Ipv4Addr::new(127, second.clamp(1, 254), third, fourth.clamp(1, 254))
}
