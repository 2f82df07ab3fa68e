//! The command line.

use std::{ffi::OsString, net::SocketAddr, path::PathBuf, time::Duration};

use clap::{Args, Parser, Subcommand};

use crate::{
    native::Runtime,
    plan::{Pace, Plan, Protocol},
    scenario::{Direction, Scenario},
};

/// HTTP load for Wasmgate and its peers, on this machine only.
#[derive(Debug, Parser)]
#[command(
    name = "wasmgate-loadtest",
    version,
    after_help = "Examples:\n  \
        wasmgate-loadtest run hello --rate 20000 --duration 30s http://127.0.0.1:3000/hello\n  \
        wasmgate-loadtest run body-64k --direction post\n  \
        wasmgate-loadtest run state --rate 2000\n  \
        wasmgate-loadtest run order --follow --rate 50 http://127.0.0.1:3000\n  \
        wasmgate-loadtest run cold --packages 1000 --component hello.wasm\n  \
        wasmgate-loadtest compare --component hello.wasm --html report.html"
)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run one scenario and print latencies, answers and errors.
    Run(Box<RunArgs>),
    /// Run Wasmgate beside a native server and `wasmtime serve`, in interleaved rounds.
    Compare(Box<CompareArgs>),
    /// Serve the native answers (the peer that `compare` starts).
    Native(NativeArgs),
    /// Become another program that ends when this one's starter does.
    #[command(name = crate::peers::LEASH, hide = true)]
    Leash {
        program: OsString,
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<OsString>,
    },
}

#[derive(Debug, Args)]
pub struct RunArgs {
    /// hello, json, body-1k … body-1m, state, order, cold, density,
    /// many-packages, noisy-neighbour
    pub scenario: Scenario,
    /// http://127.0.0.1:PORT/PATH. Without one hello, json, body-… and state
    /// start a gateway with a package of the load test's own, and order takes
    /// http://127.0.0.1:3000. Cold, density, many-packages and noisy-neighbour
    /// always start a gateway and take none.
    pub url: Option<String>,
    #[command(flatten)]
    pub load: LoadArgs,
    /// Which way the body of body-… and the value of state go.
    #[arg(long, value_enum, default_value = "get")]
    pub direction: Direction,
    /// The status that counts as right; default: the scenario's own.
    #[arg(long, value_name = "STATUS")]
    pub expect_status: Option<u16>,
    /// order: watch each order until it is fulfilled.
    #[arg(long)]
    pub follow: bool,
    /// cold: the next first request goes out when the last one is answered,
    /// instead of at a low rate.
    #[arg(long, conflicts_with = "rate")]
    pub closed: bool,
    /// Load before measuring, not counted.
    #[arg(long, default_value = "1s", value_parser = humantime::parse_duration, value_name = "TIME")]
    pub warmup: Duration,
    /// Print the result as JSON instead of text.
    #[arg(long)]
    pub json: bool,
    /// The package of hello, json, body-… and state, when it is to be served here.
    #[arg(
        long,
        env = "WASMGATE_LOADTEST_GUEST",
        default_value = "target/wasm32-wasip2/release/loadtest_guest.wasm",
        value_name = "FILE"
    )]
    pub guest: PathBuf,
    #[command(flatten)]
    pub gateway: GatewayArgs,
    #[command(flatten)]
    pub packages: PackageArgs,
}

/// How much load.
#[derive(Debug, Args)]
pub struct LoadArgs {
    /// Requests a second, on a fixed schedule; each latency counts from when
    /// its request was due. Without a rate: as fast as answers come.
    #[arg(long, value_name = "PER_SECOND")]
    pub rate: Option<f64>,
    /// How long, for example 30s or 2m.
    #[arg(long, default_value = "10s", value_parser = humantime::parse_duration, value_name = "TIME")]
    pub duration: Duration,
    #[arg(long, default_value_t = Plan::default().connections)]
    pub connections: usize,
    #[arg(long, default_value_t = Plan::default().threads)]
    pub threads: usize,
    /// Speak HTTP/2 with prior knowledge.
    #[arg(long)]
    pub http2: bool,
    /// Requests in flight on each HTTP/2 connection.
    #[arg(long, default_value_t = Plan::default().streams)]
    pub streams: usize,
    /// When a request without an answer counts as failed.
    #[arg(long, default_value = "10s", value_parser = humantime::parse_duration, value_name = "TIME")]
    pub timeout: Duration,
}

/// The gateway that a scenario or a comparison starts.
#[derive(Debug, Args)]
pub struct GatewayArgs {
    /// The wasmgate program; default: beside this tool, then on PATH.
    #[arg(long, env = "WASMGATE_BIN", value_name = "FILE")]
    pub gateway: Option<PathBuf>,
    /// The component to serve in every other scenario and in comparisons.
    #[arg(
        long,
        env = "WASMGATE_LOADTEST_COMPONENT",
        default_value = "target/wasm32-wasip2/release/hello.wasm",
        value_name = "FILE"
    )]
    pub component: PathBuf,
    /// The path on which the component answers GET with 200.
    #[arg(long, default_value = "/hello", value_parser = absolute_path)]
    pub path: String,
    /// Workers of the gateway; 0 is one per core.
    #[arg(long, default_value_t = 0)]
    pub workers: usize,
}

/// For cold, density and many-packages.
#[derive(Debug, Args)]
pub struct PackageArgs {
    /// Distinct packages to generate.
    #[arg(long, default_value_t = 1000)]
    pub packages: usize,
    /// many-packages: Zipf's exponent; 0 is uniform.
    #[arg(long, default_value_t = 1.0)]
    pub zipf: f64,
    /// many-packages and noisy-neighbour: pairs of interleaved rounds.
    #[arg(long, default_value_t = 10)]
    pub rounds: usize,
    /// noisy-neighbour: requests to the spinning package in flight.
    #[arg(long, default_value_t = 1)]
    pub spinners: usize,
}

#[derive(Debug, Args)]
pub struct CompareArgs {
    #[command(flatten)]
    pub gateway: GatewayArgs,
    /// The wasmtime program; default: on PATH. Left out when there is none.
    #[arg(long, env = "WASMTIME_BIN", value_name = "FILE")]
    pub wasmtime: Option<PathBuf>,
    /// Arguments of the tuned `wasmtime serve`, one string.
    #[arg(long, default_value = crate::compare::TUNED_WASMTIME, value_name = "ARGUMENTS", allow_hyphen_values = true)]
    pub tuned: String,
    /// Rounds; each measures every server once.
    #[arg(long, default_value_t = 10)]
    pub rounds: usize,
    /// Time of one server in one round.
    #[arg(long, default_value = "2s", value_parser = humantime::parse_duration, value_name = "TIME")]
    pub duration: Duration,
    /// Load before each measurement, not counted.
    #[arg(long, default_value = "300ms", value_parser = humantime::parse_duration, value_name = "TIME")]
    pub warmup: Duration,
    #[arg(long, default_value_t = Plan::default().connections)]
    pub connections: usize,
    #[arg(long, default_value_t = Plan::default().threads)]
    pub threads: usize,
    /// Speak HTTP/2 with prior knowledge.
    #[arg(long)]
    pub http2: bool,
    /// Then measure latency at this share of Wasmgate's own maximum; 0 leaves it out.
    #[arg(long, default_value_t = 0.7, value_name = "SHARE")]
    pub open_at: f64,
    /// How the native server uses the cores.
    #[arg(long, value_enum, default_value = "per-core")]
    pub native_runtime: Runtime,
    /// Leave out Wasmgate: compare only the peers.
    #[arg(long)]
    pub without_gateway: bool,
    /// Write a self-contained HTML report.
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,
    /// Write every number as JSON.
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub struct NativeArgs {
    /// Port 0 takes a free one, which is printed.
    #[arg(long, default_value = "127.0.0.1:0")]
    pub listen: SocketAddr,
    #[arg(long, value_enum, default_value = "per-core")]
    pub runtime: Runtime,
    /// The answer to GET /hello.
    #[arg(long, default_value = loadtest_guest::HELLO)]
    pub hello: String,
}

impl LoadArgs {
    #[must_use]
    pub fn plan(&self) -> Plan {
        Plan {
            protocol: protocol(self.http2),
            pace: self
                .rate
                .map_or(Pace::Closed, |requests_per_second| Pace::Open {
                    requests_per_second,
                }),
            connections: self.connections,
            streams: self.streams,
            threads: self.threads,
            duration: self.duration,
            requests: None,
            timeout: self.timeout,
        }
    }
}

impl CompareArgs {
    #[must_use]
    pub fn plan(&self) -> Plan {
        Plan {
            protocol: protocol(self.http2),
            connections: self.connections,
            threads: self.threads,
            duration: self.duration,
            ..Plan::default()
        }
    }
}

fn absolute_path(text: &str) -> Result<String, &'static str> {
    match text.starts_with('/') {
        true => Ok(text.to_owned()),
        false => Err("a path begins with /"),
    }
}

fn protocol(http2: bool) -> Protocol {
    if http2 {
        Protocol::Http2
    } else {
        Protocol::Http1
    }
}
