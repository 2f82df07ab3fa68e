//! The command line.

use std::{ffi::OsString, net::SocketAddr, path::PathBuf, time::Duration};

use clap::{Args, Parser, Subcommand};

use crate::{
    languages::Chosen,
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
        wasmgate-loadtest compare --component hello.wasm --html report.html\n  \
        wasmgate-loadtest languages go python=app.wasm"
)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run one scenario and print latencies, answers and errors.
    Run(Box<RunArgs>),
    /// Run Wasmgate beside a native server and `wasmtime serve`, in interleaved rounds.
    Compare(Box<CompareArgs>),
    /// Run hello in each language, each beside `wasmtime serve` on the same component, in interleaved rounds.
    Languages(LanguagesArgs),
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
pub(crate) struct RunArgs {
    /// hello, json, body-1k … body-1m, state, order, cold, density,
    /// many-packages, noisy-neighbour
    pub(crate) scenario: Scenario,
    /// http://127.0.0.1:PORT/PATH. Without one hello, json, body-… and state
    /// start a gateway with a package of the load test's own, and order takes
    /// http://127.0.0.1:3000. Cold, density, many-packages and noisy-neighbour
    /// always start a gateway and take none.
    pub(crate) url: Option<String>,
    #[command(flatten)]
    pub(crate) load: LoadArgs,
    /// Which way the body of body-… and the value of state go.
    #[arg(long, value_enum, default_value = "get")]
    pub(crate) direction: Direction,
    /// The status that counts as right; default: the scenario's own.
    #[arg(long, value_name = "STATUS")]
    pub(crate) expect_status: Option<u16>,
    /// order: watch each order until it is fulfilled.
    #[arg(long)]
    pub(crate) follow: bool,
    /// cold: the next first request goes out when the last one is answered,
    /// instead of at a low rate.
    #[arg(long, conflicts_with = "rate")]
    pub(crate) closed: bool,
    /// Load before measuring, not counted.
    #[arg(long, default_value = "1s", value_parser = humantime::parse_duration, value_name = "TIME")]
    pub(crate) warmup: Duration,
    /// Print the result as JSON instead of text.
    #[arg(long)]
    pub(crate) json: bool,
    /// The package of hello, json, body-… and state, when it is to be served here.
    #[arg(
        long,
        env = "WASMGATE_LOADTEST_GUEST",
        default_value = "target/wasm32-wasip2/release/loadtest_guest.wasm",
        value_name = "FILE"
    )]
    pub(crate) guest: PathBuf,
    #[command(flatten)]
    pub(crate) gateway: GatewayArgs,
    #[command(flatten)]
    pub(crate) packages: PackageArgs,
}

/// How much load.
#[derive(Debug, Args)]
pub(crate) struct LoadArgs {
    /// Requests a second, on a fixed schedule; each latency counts from when
    /// its request was due. Without a rate: as fast as answers come.
    #[arg(long, value_name = "PER_SECOND")]
    pub(crate) rate: Option<f64>,
    /// How long, for example 30s or 2m.
    #[arg(long, default_value = "10s", value_parser = humantime::parse_duration, value_name = "TIME")]
    pub(crate) duration: Duration,
    #[arg(long, default_value_t = Plan::default().connections)]
    pub(crate) connections: usize,
    #[arg(long, default_value_t = Plan::default().threads)]
    pub(crate) threads: usize,
    /// Speak HTTP/2 with prior knowledge.
    #[arg(long)]
    pub http2: bool,
    /// Requests in flight on each HTTP/2 connection.
    #[arg(long, default_value_t = Plan::default().streams)]
    pub(crate) streams: usize,
    /// When a request without an answer counts as failed.
    #[arg(long, default_value = "10s", value_parser = humantime::parse_duration, value_name = "TIME")]
    pub(crate) timeout: Duration,
}

/// The gateway that a scenario or a comparison starts.
#[derive(Debug, Args)]
pub(crate) struct GatewayArgs {
    /// The wasmgate program; default: beside this tool, then on PATH.
    #[arg(long, env = "WASMGATE_BIN", value_name = "FILE")]
    pub(crate) gateway: Option<PathBuf>,
    /// The component to serve in every other scenario and in comparisons.
    #[arg(
        long,
        env = "WASMGATE_LOADTEST_COMPONENT",
        default_value = "target/wasm32-wasip2/release/hello.wasm",
        value_name = "FILE"
    )]
    pub(crate) component: PathBuf,
    /// The path on which the component answers GET with 200.
    #[arg(long, default_value = "/hello", value_parser = absolute_path)]
    pub(crate) path: String,
    /// Workers of the gateway; 0 is one per core.
    #[arg(long, default_value_t = 0)]
    pub(crate) workers: usize,
}

/// For cold, density and many-packages.
#[derive(Debug, Args)]
pub(crate) struct PackageArgs {
    /// Distinct packages to generate.
    #[arg(long, default_value_t = 1000)]
    pub(crate) packages: usize,
    /// many-packages: Zipf's exponent; 0 is uniform.
    #[arg(long, default_value_t = 1.0)]
    pub(crate) zipf: f64,
    /// many-packages and noisy-neighbour: pairs of interleaved rounds.
    #[arg(long, default_value_t = 10)]
    pub(crate) rounds: usize,
    /// noisy-neighbour: requests to the spinning package in flight.
    #[arg(long, default_value_t = 1)]
    pub(crate) spinners: usize,
}

#[derive(Debug, Args)]
pub(crate) struct CompareArgs {
    #[command(flatten)]
    pub(crate) gateway: GatewayArgs,
    /// The wasmtime program; default: on PATH. Left out when there is none.
    #[arg(long, env = "WASMTIME_BIN", value_name = "FILE")]
    pub(crate) wasmtime: Option<PathBuf>,
    /// Arguments of the tuned `wasmtime serve`, one string.
    #[arg(long, default_value = crate::compare::TUNED_WASMTIME, value_name = "ARGUMENTS", allow_hyphen_values = true)]
    pub(crate) tuned: String,
    /// Rounds; each measures every server once.
    #[arg(long, default_value_t = 10)]
    pub(crate) rounds: usize,
    /// Time of one server in one round.
    #[arg(long, default_value = "2s", value_parser = humantime::parse_duration, value_name = "TIME")]
    pub(crate) duration: Duration,
    /// Load before each measurement, not counted.
    #[arg(long, default_value = "300ms", value_parser = humantime::parse_duration, value_name = "TIME")]
    pub(crate) warmup: Duration,
    #[arg(long, default_value_t = Plan::default().connections)]
    pub(crate) connections: usize,
    #[arg(long, default_value_t = Plan::default().threads)]
    pub(crate) threads: usize,
    /// Speak HTTP/2 with prior knowledge.
    #[arg(long)]
    pub http2: bool,
    /// Then measure latency at this share of Wasmgate's own maximum; 0 leaves it out.
    #[arg(long, default_value_t = 0.7, value_name = "SHARE")]
    pub(crate) open_at: f64,
    /// How the native server uses the cores.
    #[arg(long, value_enum, default_value = "per-core")]
    pub(crate) native_runtime: Runtime,
    /// Leave out Wasmgate: compare only the peers.
    #[arg(long)]
    pub(crate) without_gateway: bool,
    /// Write a self-contained HTML report.
    #[arg(long, value_name = "FILE")]
    pub(crate) html: Option<PathBuf>,
    /// Write every number as JSON.
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct LanguagesArgs {
    /// Which: c, go, hono, javascript, python, sdk, snapshot, wasi-0.3; default: all. With `=FILE`
    /// the component of that file.
    #[arg(value_name = "LANGUAGE[=FILE]")]
    pub(crate) languages: Vec<Chosen>,
    /// The folder with a component for each, as `loadtest/build-languages` leaves it.
    #[arg(long, default_value = "target/languages", value_name = "FOLDER")]
    pub(crate) guests: PathBuf,
    /// The wasmgate program; default: beside this tool, then on PATH.
    #[arg(long, env = "WASMGATE_BIN", value_name = "FILE")]
    pub(crate) gateway: Option<PathBuf>,
    /// Workers of the gateway; 0 is one per core.
    #[arg(long, default_value_t = 0)]
    pub(crate) workers: usize,
    /// The wasmtime program; default: on PATH.
    #[arg(long, env = "WASMTIME_BIN", value_name = "FILE")]
    pub(crate) wasmtime: Option<PathBuf>,
    /// Rounds; each measures every server once.
    #[arg(long, default_value_t = 10)]
    pub(crate) rounds: usize,
    /// Time of one server in one round.
    #[arg(long, default_value = "2s", value_parser = humantime::parse_duration, value_name = "TIME")]
    pub(crate) duration: Duration,
    /// Load before each measurement, not counted.
    #[arg(long, default_value = "500ms", value_parser = humantime::parse_duration, value_name = "TIME")]
    pub(crate) warmup: Duration,
    #[arg(long, default_value_t = Plan::default().connections)]
    pub(crate) connections: usize,
    #[arg(long, default_value_t = Plan::default().threads)]
    pub(crate) threads: usize,
    /// Then measure latency at this share of the slowest server's maximum; 0 leaves it out.
    #[arg(long, default_value_t = 0.5, value_name = "SHARE")]
    pub(crate) open_at: f64,
    /// Write every number as JSON.
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct NativeArgs {
    /// Port 0 takes a free one, which is printed.
    #[arg(long, default_value = "127.0.0.1:0")]
    pub(crate) listen: SocketAddr,
    #[arg(long, value_enum, default_value = "per-core")]
    pub(crate) runtime: Runtime,
    /// The answer to GET /hello.
    #[arg(long, default_value = loadtest_guest::HELLO)]
    pub(crate) hello: String,
}

impl LoadArgs {
    pub(crate) fn plan(&self) -> Plan {
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
    pub(crate) fn plan(&self) -> Plan {
        Plan {
            protocol: protocol(self.http2),
            connections: self.connections,
            threads: self.threads,
            duration: self.duration,
            ..Plan::default()
        }
    }
}

impl LanguagesArgs {
    pub(crate) fn plan(&self) -> Plan {
        Plan {
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
