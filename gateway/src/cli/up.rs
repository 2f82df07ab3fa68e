//! `wasmgate up`: serve.

use std::{net::SocketAddr, process::ExitCode, time::SystemTime};

use clap::{Args, ValueEnum};
use wasmgate::{
    bootstrap::{self, Ended, Overrides, WatchBy, Watching},
    config,
};

use super::{
    Exit, File,
    build::{self, Which},
    print,
};

/// Its arguments.
#[derive(Args)]
pub(crate) struct Up {
    #[command(flatten)]
    file: File,
    /// Listen here instead of `[server] listen`; port 0 lets the system choose
    #[arg(long, value_name = "ADDRESS", value_parser = address)]
    listen: Option<SocketAddr>,
    /// Serve metrics and health here instead of `[server] admin`
    #[arg(long, value_name = "ADDRESS", value_parser = address)]
    admin: Option<SocketAddr>,
    /// Build all packages that have a build command first; by default only those that are not built yet
    #[arg(long)]
    build: bool,
    /// Build first, and serve each change as soon as it is saved: changed sources are built; changes of the
    /// configuration, components and component files are reloaded. With `poll` all files are checked once a second, for
    /// folders without change notifications, such as shared folders of a virtual machine
    #[arg(long, value_name = "HOW", num_args = 0..=1, require_equals = true, default_missing_value = "events")]
    watch: Option<How>,
}

/// How changes are found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum How {
    Events,
    Poll,
}

impl Up {
    pub(super) fn run(self) -> Result<ExitCode, Exit> {
        let config = self.file.load()?;
        let which = match (self.build, self.watch.is_some()) {
            (true, _) => Which::All,
            (false, true) => Which::AllThatCan,
            (false, false) => Which::Missing,
        };
        // What is saved from now on is built again.
        let since = SystemTime::now();
        build::before_serving(&config, which)?;
        let overrides = Overrides {
            listen: self.listen,
            admin: self.admin,
            watch: self.watch.map(|how| Watching {
                by: match how {
                    How::Events => WatchBy::Events,
                    How::Poll => WatchBy::Looking,
                },
                since,
            }),
        };
        let table = config::table(&config);
        let scheme = if config.server.tls.is_some() {
            "https"
        } else {
            "http"
        };
        let ended = bootstrap::up(config, overrides, |addresses| {
            let dapr = addresses
                .dapr
                .map(|address| format!("dapr on {}\n", url("http", address)));
            let dapr = dapr.unwrap_or_default();
            // It serves whoever reads this or not.
            let _ = print(&format!(
                "listening on {}\nadmin on {}\n{dapr}\n{table}",
                url(scheme, addresses.listen),
                url("http", addresses.admin)
            ));
        })?;
        Ok(match ended {
            Ended::Drained => ExitCode::SUCCESS,
            Ended::Cut => ExitCode::FAILURE,
        })
    }
}

/// An address as people write it.
fn address(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| {
        let port = text.rsplit(':').next().unwrap_or_default();
        let port = port.parse().unwrap_or(3000_u16);
        format!("write an IP address and a port: 127.0.0.1:{port} is for this machine alone, 0.0.0.0:{port} for all interfaces")
    })
}

/// An address as a client would write it.
fn url(scheme: &str, address: SocketAddr) -> String {
    format!("{scheme}://{address}")
}
