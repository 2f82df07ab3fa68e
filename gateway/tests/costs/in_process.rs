//! Requests handed to a gateway in this process, without a socket: what they allocate and which pages they touch.

use std::{net::IpAddr, path::Path, sync::Arc};

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt as _, Empty};
use tokio::runtime::Runtime;
use wasmgate::{
    bootstrap, config,
    gateway::{ConnectionInfo, Gateway},
};

use crate::{Scenario, record::Measured};

/// Requests before measuring: they load the code, warm the slots and fill the caches.
const WARM_UP: usize = 200;

/// Requests measured.
const REQUESTS: usize = 1_000;

pub(crate) fn measure(scenario: &Scenario, folder: &Path) -> Measured {
    let bench = Bench::new(folder);
    bench.run(scenario, WARM_UP);
    let faults_before = page_faults();
    let allocated = allocation_counter::measure(|| bench.run(scenario, REQUESTS));
    let faults = page_faults() - faults_before;
    vec![
        (
            "allocations",
            allocated.count_total as f64 / REQUESTS as f64,
        ),
        ("page_faults", faults as f64 / REQUESTS as f64),
    ]
}

/// Only sends requests, for a tool that counts from outside.
pub(crate) fn requests(scenario: &Scenario, count: usize) {
    let folder = tempfile::tempdir().unwrap();
    crate::write_configuration(scenario, folder.path());
    Bench::new(folder.path()).run(scenario, count);
}

struct Bench {
    runtime: Runtime,
    gateway: Arc<Gateway>,
    connection: ConnectionInfo,
}

impl Bench {
    fn new(folder: &Path) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let config = config::load(&folder.join("wasmgate.toml")).unwrap();
        let gateway = Arc::new(bootstrap::load(config).unwrap());
        let connection = gateway.connection(IpAddr::from([127, 0, 0, 1]));
        Self {
            runtime,
            gateway,
            connection,
        }
    }

    fn run(&self, scenario: &Scenario, count: usize) {
        self.runtime.block_on(async {
            for _ in 0..count {
                let request = Request::get(scenario.target)
                    .header("host", "localhost")
                    .body(Empty::<Bytes>::new())
                    .unwrap();
                let response = self.gateway.handle(request, &self.connection).await;
                assert!(response.status().is_success(), "{}", response.status());
                response.into_body().collect().await.unwrap();
            }
        });
    }
}

/// Minor page faults of this thread so far (proc(5), field 10).
fn page_faults() -> u64 {
    let stat = std::fs::read_to_string("/proc/thread-self/stat").unwrap();
    let (_, fields) = stat.rsplit_once(')').unwrap();
    fields.split_whitespace().nth(7).unwrap().parse().unwrap()
}
