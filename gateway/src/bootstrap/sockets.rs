//! The sockets of a gateway, bound before anything else is done: a second gateway fails at once.

use std::{
    io,
    net::{SocketAddr, TcpListener},
};

use wasmgate_common::{Diagnostics, Place};

use super::{Overrides, StartError, machine, system};
use crate::{
    config::{self, Config},
    server::{self, Listeners},
};

/// Where a mistake is that is in no file.
const COMMAND_LINE: &str = "the command line";

/// The addresses on which the gateway serves.
#[derive(Debug, Clone, Copy)]
pub struct Addresses {
    /// The public listener.
    pub listen: SocketAddr,
    /// The admin listener.
    pub admin: SocketAddr,
    /// The listener of `[dapr] listen`, if there is one.
    pub dapr: Option<SocketAddr>,
}

/// Listening sockets.
pub(super) struct Sockets {
    pub(super) public: Listeners,
    pub(super) admin: TcpListener,
    pub(super) dapr: Option<TcpListener>,
}

impl Sockets {
    /// Binds all addresses of a configuration.
    pub(super) fn bind(config: &Config, overrides: &Overrides) -> Result<Self, StartError> {
        let server = &config.server;
        let own = |key, address| server::listen(address).map_err(|error| refused(config, key, address, &error));
        // Where the address was configured.
        let said = |over: Option<SocketAddr>, option, key| if over.is_some() { option } else { key };
        let listen = said(overrides.listen, "--listen", "server.listen");
        let admin = said(overrides.admin, "--admin", "server.admin");
        let mut all = vec![(listen, server.listen), (admin, server.admin)];
        all.extend(config.dapr.listen.map(|address| ("dapr.listen", address)));
        // The file by itself was checked when it was read.
        let clashes: Vec<_> = config::clashes(all)
            .into_iter()
            .map(|(_, _, wrong)| wrong)
            .collect();
        if !clashes.is_empty() {
            return Err(StartError::Arguments(Diagnostics::new(
                COMMAND_LINE,
                clashes,
            )));
        }
        let public = Listeners::bind(server.listen, server.workers)
            .map_err(|error| refused(config, listen, server.listen, &error))?;
        let dapr = config.dapr.listen;
        Ok(Self {
            public,
            admin: own(admin, server.admin)?,
            dapr: dapr
                .map(|address| own("dapr.listen", address))
                .transpose()?,
        })
    }

    /// The addresses, with the actual ports.
    pub(super) fn addresses(&self) -> Result<Addresses, StartError> {
        let local = |listener: &TcpListener| listener.local_addr().map_err(|error| machine(&error));
        Ok(Addresses {
            listen: self.public.address,
            admin: local(&self.admin)?,
            dapr: self.dapr.as_ref().map(local).transpose()?,
        })
    }
}

fn refused(config: &Config, key: &str, address: SocketAddr, error: &io::Error) -> StartError {
    if system::is_out_of_descriptors(error) {
        return StartError::Machine(format!("cannot listen on {address}: {error}"));
    }
    let wrong = server::diagnose(address, error);
    StartError::Listen(if key.starts_with("--") {
        Diagnostics::new(COMMAND_LINE, vec![wrong.at(Place::of_key(key))])
    } else {
        config.diagnostics(vec![config.at_key(key, wrong)])
    })
}
