//! Listening sockets: one per worker on the public address, and those of the gateway's own listeners.

use std::{
    io,
    net::{SocketAddr, TcpListener},
};

use wasmgate_common::{Code, Diagnostic};

use socket2::{Domain, Protocol, Socket, Type};

/// Connections that the kernel queues while a worker is busy: a burst within a few epoch ticks.
const BACKLOG: i32 = 4096;

/// How much unsent data the kernel accepts for a client (TCP_NOTSENT_LOWAT): by default megabytes, with which a slow
/// reader would look for minutes like one that reads nothing.
#[cfg(target_os = "linux")]
const UNSENT_IN_KERNEL: u32 = 64 << 10;

/// Whether the kernel distributes connections among sockets that share a port, as on Linux. Elsewhere one of them may
/// get all.
const HAS_QUEUES: bool = cfg!(target_os = "linux");

/// Listening sockets; connections wait in the kernel until a worker takes them.
#[derive(Debug)]
pub(crate) struct Listeners {
    /// One for each worker.
    pub(super) sockets: Vec<TcpListener>,
    /// Their address, with the actual port.
    pub address: SocketAddr,
}

impl Listeners {
    /// Binds `address` for `count` workers; with port 0 they share one port.
    ///
    /// # Errors
    /// When the address is taken, is not ours, or needs a privilege.
    pub(crate) fn bind(address: SocketAddr, count: usize) -> io::Result<Self> {
        // SO_REUSEPORT also shares the port with other processes of the user, so a socket without it checks first
        // whether the address is free.
        drop(listening(address, false)?);
        let first = listening(address, HAS_QUEUES)?;
        Self::more(first, count, HAS_QUEUES)
    }

    /// Sockets for the other workers: with their own queues, or clones of the first.
    fn more(first: TcpListener, count: usize, has_queues: bool) -> io::Result<Self> {
        let address = first.local_addr()?;
        let mut sockets = Vec::with_capacity(count);
        for _ in 1..count {
            sockets.push(match has_queues {
                true => listening(address, true)?,
                false => first.try_clone()?,
            });
        }
        sockets.push(first);
        Ok(Self { sockets, address })
    }
}

/// Binds `address` for one of the gateway's own listeners.
///
/// # Errors
/// When the address is taken, is not ours, or needs a privilege.
pub(crate) fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    listening(address, false)
}

/// The diagnostic for an address that cannot be bound.
pub(crate) fn diagnose(address: SocketAddr, error: &io::Error) -> Diagnostic {
    let help = match error.kind() {
        io::ErrorKind::AddrInUse => "stop the process that has it, or choose another port",
        io::ErrorKind::PermissionDenied => {
            "ports below 1024 need a privilege: choose a higher port, or grant CAP_NET_BIND_SERVICE"
        }
        io::ErrorKind::AddrNotAvailable => {
            "no interface of this machine has it: 127.0.0.1 is for this machine only, 0.0.0.0 for all interfaces"
        }
        _ => "choose another address",
    };
    Diagnostic::new(
        Code::AddressUnavailable,
        format!("cannot listen on {address}: {error}"),
        help,
    )
}

fn listening(address: SocketAddr, shared: bool) -> io::Result<TcpListener> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(shared)?;
    // Accepted connections inherit it. Without support the kernel buffers more.
    #[cfg(target_os = "linux")]
    let _ = socket.set_tcp_notsent_lowat(UNSENT_IN_KERNEL);
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_workers_share_one_port_and_a_second_gateway_is_refused_it() {
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let listeners = Listeners::bind(any, 3).unwrap();
        let address = listeners.address;
        for socket in &listeners.sockets {
            assert_eq!(socket.local_addr().unwrap(), address);
        }
        let refused = Listeners::bind(address, 1).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::AddrInUse);
    }
}
