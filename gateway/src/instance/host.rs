//! What one guest sees of the world: an environment from the configuration, clocks, randomness, a log, the
//! requests it may send, and nothing else.

use std::sync::Arc;

use wasmtime::component::ResourceTable;
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};
use wasmtime_wasi_http::{WasiHttpCtx, WasiHttpCtxView, WasiHttpView};

use super::memory::MemoryLimit;
use super::output::{GuestOutput, Stream};
use crate::blocks;
use crate::egress::Egress;
use crate::identity::RequestId;
use crate::package::Package;

/// The state of one store, owned by one request.
pub struct HostState {
    pub(super) memory: MemoryLimit,
    wasi: WasiCtx,
    http: WasiHttpCtx,
    table: ResourceTable,
    egress: Egress,
}

impl HostState {
    pub(super) fn new(package: &Arc<Package>, egress: Egress, request_id: &RequestId) -> Self {
        let output = |stream| {
            let name = Arc::clone(&package.name);
            GuestOutput::new(name, request_id.clone(), stream)
        };
        let mut wasi = WasiCtx::builder();
        if package.caller.is_granted() {
            wasi.env("APP_ID", package.caller.id.as_str())
                .env("DAPR_HTTP_ENDPOINT", blocks::ENDPOINT);
        }
        let wasi = wasi
            .envs(&package.config.env)
            .stdout(output(Stream::Stdout))
            .stderr(output(Stream::Stderr))
            .allow_tcp(false)
            .allow_udp(false)
            .build();
        Self {
            memory: MemoryLimit::new(package.config.limits.memory),
            wasi,
            http: WasiHttpCtx::new(),
            table: ResourceTable::new(),
            egress,
        }
    }
}

impl WasiView for HostState {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView {
            ctx: &mut self.wasi,
            table: &mut self.table,
        }
    }
}

impl WasiHttpView for HostState {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        WasiHttpCtxView {
            ctx: &mut self.http,
            table: &mut self.table,
            hooks: &mut self.egress,
        }
    }
}
