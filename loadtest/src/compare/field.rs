//! The servers of a comparison: which there are, how each is started, and the
//! one answer all must give.

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
};

use anyhow::{Context, bail};
use loadtest_guest::HELLO;

use crate::{
    cli::{CompareArgs, GatewayArgs},
    client,
    gateway::{self, Gateway, Package},
    native::Runtime,
    peers::{self, Launch, Peer},
    plan::Plan,
    target::Target,
    workload::{Exchange, ExpectedBody, Workload},
};

/// `wasmtime serve` 48 set up for throughput, each request still in a fresh
/// instance. What an instance touched stays resident and is overwritten with
/// zeros (memories up to 1 MiB, which is what our guests have, stacks and
/// tables up to 64 KiB) instead of being given back to the kernel and faulted
/// in again. Measured best of what there is: less kept resident is slower, and
/// so is `pooling-decommit-batch-size` with it, because memories that wait for
/// their batch leave the processor's caches. Fuel and epochs are off by
/// default, and 1,000 instances are more than a load has requests in flight.
/// Left out: `pooling-pagemap-scan`, whose mask misses pages that are swapped
/// out or being moved, and `concurrency-support=n`, with which `serve` fails
/// every request.
pub(crate) const TUNED_WASMTIME: &str = "-O pooling-allocator=y -O pooling-memory-keep-resident=1048576 \
    -O pooling-table-keep-resident=65536 -O pooling-async-stack-keep-resident=65536";

/// The flag for how often `wasmtime serve` uses an instance; 1 is a fresh one per request.
const REUSE_FLAG: &str = "--max-instance-reuse-count";

/// Has `wasmtime serve` make a fresh instance for each request, whatever the component is of.
pub(crate) const FRESH: &str = "--max-instance-reuse-count=1";

/// A server as the rounds see it.
pub(crate) struct Contender {
    pub(crate) name: String,
    pub(crate) pid: u32,
    pub(crate) target: Target,
    pub(crate) workload: Arc<Workload>,
}

impl Contender {
    /// A server that is to answer a path with this text.
    pub(crate) fn new(peer: &Peer, path: &str, answer: &str) -> Self {
        let mut exchange = Exchange::get(path);
        exchange.expected.body = ExpectedBody::Exactly(answer.to_owned().into());
        Self {
            name: peer.name.clone(),
            pid: peer.pid(),
            target: peer.target.clone(),
            workload: Arc::new(Workload::one(exchange)),
        }
    }
}

/// Every server, running. The peers end when this is dropped.
pub(super) struct Field {
    pub(super) contenders: Vec<Contender>,
    pub(super) left_out: Vec<String>,
    pub(super) versions: Vec<String>,
    _gateway: Option<Gateway>,
    _peers: Vec<Peer>,
}

impl Field {
    /// Starts what there is. The first server's answer to the path is the one
    /// that the native server repeats and all others must give.
    pub(super) fn start(arguments: &CompareArgs, plan: &Plan) -> anyhow::Result<Self> {
        let this = std::env::current_exe().context("this program's own path")?;
        let mut versions = vec![format!("wasmgate-loadtest {}", env!("CARGO_PKG_VERSION"))];
        let mut left_out = Vec::new();
        let mut peers = Vec::new();
        let gateway = if arguments.without_gateway {
            left_out.push("wasmgate: --without-gateway".to_owned());
            None
        } else {
            let gateway = start_gateway(&this, &arguments.gateway)?;
            versions.extend(version(&gateway.program));
            Some(gateway)
        };

        let wasmtime = peers::find(
            "wasmtime",
            arguments.wasmtime.as_deref(),
            &this,
            "`cargo install wasmtime-cli` gets it",
        );
        match wasmtime {
            Ok(program) => {
                versions.extend(version(&program));
                for (name, tuning) in [("", ""), (" tuned", arguments.tuned.as_str())] {
                    let launch = wasmtime_serve(&program, name, tuning, arguments)?;
                    match launch.start(&this) {
                        Ok(peer) => peers.push(peer),
                        Err(error) => left_out.push(error.to_string()),
                    }
                }
            }
            Err(error) => left_out.push(error.to_string()),
        }

        let leader = gateway.as_ref().map(|gateway| &gateway.peer);
        let answer = match leader.or(peers.first()) {
            Some(peer) => {
                let exchange = Exchange::get(&arguments.gateway.path);
                let answer = client::probe(&peer.target, &exchange, plan.protocol, plan.timeout)?;
                if answer.status != 200 {
                    let (name, path) = (&peer.name, &arguments.gateway.path);
                    bail!("{name} answers {path} with {}, not 200", answer.status);
                }
                answer.body
            }
            None => HELLO.into(),
        };
        let hello =
            String::from_utf8(answer.to_vec()).context("the native server can only repeat an answer that is text")?;
        peers.insert(
            0,
            native(&this, &hello, arguments.native_runtime).start(&this)?,
        );

        let mut field = Self {
            contenders: Vec::new(),
            left_out,
            versions,
            _gateway: None,
            _peers: Vec::new(),
        };
        let own = &arguments.gateway.path;
        let path = |peer: &Peer| match peer.name.starts_with(NATIVE) {
            // Made for each request where it has the same answer of its own,
            // else the repeated one.
            true if answers(peer, own, &hello, plan) => own.clone(),
            true => "/hello".to_owned(),
            false => own.clone(),
        };
        if let Some(gateway) = &gateway {
            field
                .contenders
                .push(Contender::new(&gateway.peer, own, &hello));
        }
        for peer in &peers {
            field
                .contenders
                .push(Contender::new(peer, &path(peer), &hello));
        }
        field.add_control();
        field._gateway = gateway;
        field._peers = peers;
        Ok(field)
    }

    /// The first server once more: its ratio to itself must be about 1, or
    /// the machine was too restless for any other ratio to mean something.
    fn add_control(&mut self) {
        let control = self.contenders.first().map(|first| Contender {
            name: format!("{} (A/A control)", first.name),
            pid: first.pid,
            target: first.target.clone(),
            workload: Arc::clone(&first.workload),
        });
        if let Some(control) = control {
            self.contenders.insert(1, control);
        }
    }
}

const NATIVE: &str = "native axum";

fn start_gateway(this: &Path, arguments: &GatewayArgs) -> anyhow::Result<Gateway> {
    let component = gateway::component(&arguments.component, "component")?;
    let package = Package::new("hello", component, "", &arguments.path);
    Ok(gateway::start(this, arguments, &[package])?)
}

fn native(this: &Path, hello: &str, runtime: Runtime) -> Launch {
    let runtime = match runtime {
        Runtime::PerCore => "per-core",
        Runtime::MultiThread => "multi-thread",
    };
    let arguments = ["native", "--hello", hello, "--runtime", runtime];
    Launch {
        name: format!("{NATIVE} ({runtime})"),
        program: this.to_owned(),
        arguments: arguments.map(OsString::from).to_vec(),
        directory: None,
    }
}

fn wasmtime_serve(program: &Path, suffix: &str, tuning: &str, arguments: &CompareArgs) -> anyhow::Result<Launch> {
    let component: PathBuf = gateway::component(&arguments.gateway.component, "component")?;
    let reuse = reuse_count(tuning);
    let mut flags: Vec<OsString> = Vec::new();
    if reuse.is_none() {
        flags.push(FRESH.into());
    }
    flags.extend(tuning.split_whitespace().map(OsString::from));
    let label = match reuse {
        None | Some("1") => "",
        Some(_) => " (reuses instances)",
    };
    Ok(serve(
        program,
        format!("wasmtime serve{suffix}{label}"),
        flags,
        component,
    ))
}

/// `wasmtime serve` on a free port.
pub(crate) fn serve(program: &Path, name: String, flags: Vec<OsString>, component: PathBuf) -> Launch {
    // Guests import wasi:cli, which plain `serve` does not offer.
    let mut words: Vec<OsString> = vec![
        "serve".into(),
        "--addr".into(),
        "127.0.0.1:0".into(),
        "-Scli".into(),
    ];
    words.extend(flags);
    words.push(component.into());
    Launch {
        name,
        program: program.to_owned(),
        arguments: words,
        directory: None,
    }
}

/// Finds what the arguments say about using instances again.
fn reuse_count(tuning: &str) -> Option<&str> {
    let mut words = tuning.split_whitespace();
    let given = words.find_map(|word| word.strip_prefix(REUSE_FLAG))?;
    match given.strip_prefix('=') {
        Some(count) => Some(count),
        None => words.next(),
    }
}

fn answers(peer: &Peer, path: &str, answer: &str, plan: &Plan) -> bool {
    let exchange = Exchange::get(path);
    client::probe(&peer.target, &exchange, plan.protocol, plan.timeout)
        .is_ok_and(|given| given.status == 200 && given.body == answer)
}

/// Runs `--version`, for the report.
pub(crate) fn version(program: &Path) -> Option<String> {
    let output = Command::new(program).arg("--version").output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    text.lines().next().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_that_reuses_instances_is_noticed() {
        assert_eq!(reuse_count(TUNED_WASMTIME), None);
        let flags = "-O pooling-allocator=y --max-instance-reuse-count";
        assert_eq!(reuse_count(&format!("{flags}=128 -Scli")), Some("128"));
        assert_eq!(reuse_count(&format!("{flags} 1")), Some("1"));
    }
}
