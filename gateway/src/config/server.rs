//! `[server]`: listeners, and limits of connections.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    ops::RangeInclusive,
    path::{Path, PathBuf},
    time::Duration,
};

use ipnet::IpNet;
use wasmgate_common::{Code, Diagnostic};

use super::{
    environment::{self, Environment},
    reader::{Notes, Section},
    secret::Secret,
    server_tls::ServerTls,
    unit,
};
use crate::address;

/// The public listener unless configured: this machine only, so that nothing is exposed by accident.
const LISTEN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 3000);

/// The admin listener unless configured: this machine only, on the port that Prometheus is known by.
const ADMIN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 9090);

/// The most workers: one a core is best, and no machine we know of has more cores.
const MAX_WORKERS: usize = 1024;

/// The time that requests in flight have to finish after SIGTERM: the grace period of Kubernetes, 30 s.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(30);

/// The time that a client may take over a request's head. Ten seconds carry a head over any working
/// network, and a client that feeds it by the byte holds a connection no longer.
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);

/// The time for which what is sent to a client may stand still: a network that is worse for longer breaks connections
/// by itself, and whoever reads a few kilobytes in it goes on.
const WRITE_TIMEOUT: Duration = Duration::from_secs(30);

/// The range of the three time-outs: an hour is longer than any restart or client should be waited for.
const TIMEOUTS: RangeInclusive<Duration> = Duration::from_millis(1)..=Duration::from_secs(3600);

/// The most bytes of a request's head: room for large cookies and tokens (most servers take 8 to 64 KiB).
const REQUEST_HEAD: u64 = 64 * 1024;

/// The range of `request_head`: hyper takes no buffer below 8 KiB, and a megabyte a connection is
/// memory that any client could claim.
const REQUEST_HEADS: RangeInclusive<u64> = 8 * 1024..=1024 * 1024;

/// The most fields of a request's head: more than any browser or proxy sends, and the last number for which hyper reads
/// a head without allocating.
const REQUEST_HEADERS: usize = 100;

/// The range of `request_headers`: what a browser sends at least, and what a map of fields can hold with ease.
const REQUEST_HEADER_COUNTS: RangeInclusive<usize> = 16..=10_000;

/// The range of `connections` and `connections_per_client`.
const CONNECTIONS: RangeInclusive<usize> = 1..=10_000_000;

/// The folder of compiled code unless configured.
const CACHE: &str = ".wasmgate/cache";

/// Compiled code that may be loaded at once unless configured: some thousand small packages. It is mapped from files,
/// so the kernel can take back what is not used.
const LOADED_CODE: u64 = 2 << 30;

/// The range of `loaded_code`: one small package to more than the memory of any machine we know of.
const LOADED_CODES: RangeInclusive<u64> = 1 << 20..=1 << 40;

/// The time that compiling one component may take unless configured: one of 700 KB takes a second, and interpreters
/// have tens of megabytes.
const COMPILE_TIMEOUT: Duration = Duration::from_mins(2);

/// The range of `compile_timeout`.
const COMPILE_TIMEOUTS: RangeInclusive<Duration> = Duration::from_millis(100)..=Duration::from_secs(3600);

/// The memory that compiling one component may take unless configured: thirty times what one of 700 KB takes, and less
/// than most machines have.
const COMPILE_MEMORY: u64 = 2 << 30;

/// The range of `compile_memory`: what the compiler itself needs to more than any machine we know of has.
const COMPILE_MEMORIES: RangeInclusive<u64> = 64 << 20..=1 << 50;

/// The range of `memory`: what the gateway needs for itself to more than any machine we know of has.
const MEMORIES: RangeInclusive<u64> = 64 << 20..=1 << 50;

/// Checked `[server]`.
#[derive(Clone, Debug)]
pub struct Server {
    /// The public listener; port 0 lets the system choose.
    pub listen: SocketAddr,
    /// The admin listener; port 0 lets the system choose.
    pub admin: SocketAddr,
    /// Worker threads, at least one.
    pub workers: usize,
    /// The time that requests in flight have to finish after SIGTERM.
    pub drain_timeout: Duration,
    /// The time that a client may take over a request's head.
    pub header_timeout: Duration,
    /// The time for which what is sent to a client may stand still.
    pub write_timeout: Duration,
    /// The most bytes of a request's head.
    pub request_head: usize,
    /// The most fields of a request's head.
    pub request_headers: usize,
    /// The most connections at once; unless said, what the limit on descriptors leaves for them.
    pub connections: Option<usize>,
    /// The most connections of one client address at once; unless said, half of all.
    pub connections_per_client: Option<usize>,
    /// The folder for compiled code.
    pub cache: PathBuf,
    /// The time that compiling one component may take.
    pub compile_timeout: Duration,
    /// Bytes of memory that compiling one component may take.
    pub compile_memory: u64,
    /// Whether a package that cannot be served keeps the gateway from serving the others.
    pub strict: bool,
    /// Bytes of compiled code that may be loaded at once.
    pub loaded_code: u64,
    /// Bytes of memory for all instances; unless said, what the system lets the process have, less a reserve.
    pub memory: Option<u64>,
    /// Asked of operators who do not call from this machine (`WASMGATE_ADMIN_TOKEN`).
    pub admin_token: Option<Secret>,
    /// Ranges of private addresses that names in `outbound` may resolve to.
    pub outbound_private: Vec<IpNet>,
    /// Addresses and ranges of the proxies whose word on a request's origin is believed.
    pub trusted_proxies: Vec<IpNet>,
    /// TLS of the public listener, if it is to have any.
    pub tls: Option<ServerTls>,
}

/// The keys of `[server]`.
pub(super) const KEYS: [&str; 19] = [
    "listen",
    "admin",
    "workers",
    "drain_timeout",
    "header_timeout",
    "write_timeout",
    "request_head",
    "request_headers",
    "connections",
    "connections_per_client",
    "cache",
    "compile_timeout",
    "compile_memory",
    "strict",
    "loaded_code",
    "memory",
    "outbound_private",
    "trusted_proxies",
    "tls",
];

impl Server {
    /// Reads the section; paths are resolved against `folder`.
    pub(super) fn read(root: &Section<'_>, folder: &Path, environment: &Environment, notes: &Notes<'_>) -> Self {
        let section = root.section("server", &KEYS);
        let section = section.as_ref();
        let cores = || std::thread::available_parallelism().map_or(1, usize::from);
        let timeout = |key, example| section?.parsed(key, example, |text| unit::duration(text, &TIMEOUTS));
        let request_head = section.and_then(|s| {
            s.parsed("request_head", "64KiB", |text| {
                unit::size(text, &REQUEST_HEADS)
            })
        });
        let listen = section.and_then(|s| s.parsed("listen", "127.0.0.1:3000", unit::address));
        let admin = section.and_then(|s| s.parsed("admin", "127.0.0.1:9090", unit::address));
        let cache = section
            .and_then(|s| s.text("cache", CACHE))
            .map_or(CACHE, |item| item.value);
        Self {
            listen: listen.unwrap_or(LISTEN),
            admin: admin.unwrap_or(ADMIN),
            workers: section
                .and_then(|s| s.count("workers", 0..=MAX_WORKERS))
                .filter(|workers| *workers > 0)
                .unwrap_or_else(cores),
            drain_timeout: timeout("drain_timeout", "30s").unwrap_or(DRAIN_TIMEOUT),
            header_timeout: timeout("header_timeout", "10s").unwrap_or(HEADER_TIMEOUT),
            write_timeout: timeout("write_timeout", "30s").unwrap_or(WRITE_TIMEOUT),
            request_head: usize::try_from(request_head.unwrap_or(REQUEST_HEAD)).unwrap_or(usize::MAX),
            request_headers: section
                .and_then(|s| s.count("request_headers", REQUEST_HEADER_COUNTS))
                .unwrap_or(REQUEST_HEADERS),
            connections: section.and_then(|s| s.count("connections", CONNECTIONS)),
            connections_per_client: section.and_then(|s| s.count("connections_per_client", CONNECTIONS)),
            cache: folder.join(cache),
            compile_timeout: section
                .and_then(|s| {
                    s.parsed("compile_timeout", "2m", |text| {
                        unit::duration(text, &COMPILE_TIMEOUTS)
                    })
                })
                .unwrap_or(COMPILE_TIMEOUT),
            compile_memory: section
                .and_then(|s| {
                    s.parsed("compile_memory", "2GiB", |text| {
                        unit::size(text, &COMPILE_MEMORIES)
                    })
                })
                .unwrap_or(COMPILE_MEMORY),
            strict: section.and_then(|s| s.flag("strict")).unwrap_or(true),
            loaded_code: section
                .and_then(|s| {
                    s.parsed("loaded_code", "2GiB", |text| {
                        unit::size(text, &LOADED_CODES)
                    })
                })
                .unwrap_or(LOADED_CODE),
            memory: section.and_then(|s| s.parsed("memory", "2GiB", |text| unit::size(text, &MEMORIES))),
            admin_token: environment::token(
                notes,
                "WASMGATE_ADMIN_TOKEN",
                environment.admin_token.as_ref(),
            ),
            outbound_private: section.map_or_else(Vec::new, outbound_private),
            trusted_proxies: section.map_or_else(Vec::new, trusted_proxies),
            tls: section.and_then(|section| ServerTls::read(section, folder)),
        }
    }
}

fn trusted_proxies(section: &Section<'_>) -> Vec<IpNet> {
    let proxies = section
        .texts("trusted_proxies", "10.1.2.0/24")
        .unwrap_or_default();
    proxies
        .iter()
        .filter_map(|item| item.parsed(proxies_of))
        .collect()
}

fn proxies_of(text: &str) -> Result<IpNet, Diagnostic> {
    let one = text.parse::<IpAddr>().map(IpNet::from);
    one.or_else(|_| text.parse::<IpNet>()).map_err(|_| {
        Diagnostic::new(
            Code::InvalidValue,
            format!("{text:?} is neither an address nor a range of addresses"),
            "write where your proxies are, such as \"10.1.2.3\", \"10.1.2.0/24\" or \"fd12:3456::/32\"",
        )
    })
}

fn outbound_private(section: &Section<'_>) -> Vec<IpNet> {
    let ranges = section
        .texts("outbound_private", "10.0.0.0/8")
        .unwrap_or_default();
    ranges
        .iter()
        .filter_map(|item| item.parsed(private_range))
        .collect()
}

fn private_range(text: &str) -> Result<IpNet, Diagnostic> {
    let help = "write a range of your own network, such as \"10.0.0.0/8\" or \"fd12:3456::/32\"; public addresses are \
                  open as they are, and loopback, link-local and metadata addresses are not opened here";
    let range = text.parse::<IpNet>().map_err(|_| {
        Diagnostic::new(
            Code::InvalidValue,
            format!("{text:?} is not a range of addresses"),
            help,
        )
    })?;
    if address::is_private_range(&range) {
        Ok(range)
    } else {
        Err(Diagnostic::new(
            Code::InvalidValue,
            format!("{text:?} is not a range of private addresses"),
            help,
        ))
    }
}
