//! What a request costs without a socket: a guest on the raw bindings beside the same answer from the SDK.
//!
//! Build the guests first (`make guests`, and `cargo build --release --target wasm32-wasip2 -p wasmgate-test-guests
//! --examples`).
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a bench that cannot run says so loudest by a panic"
)]

use std::{net::IpAddr, path::Path};

use bytes::Bytes;
use criterion::{Criterion, criterion_group, criterion_main};
use http::Request;
use http_body_util::{BodyExt as _, Empty};
use wasmgate::{bootstrap, config};

fn guests(criterion: &mut Criterion) {
    let folder = tempfile::tempdir().unwrap();
    let target = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/wasm32-wasip2/release");
    let packages = [
        ("raw", target.join("examples/hello.wasm")),
        ("sdk", target.join("hello.wasm")),
    ];
    let mut toml = String::from("[server]\nlisten = \"127.0.0.1:0\"\nadmin = \"127.0.0.1:0\"\nworkers = 1\n");
    for (name, source) in &packages {
        let source = source.display();
        toml += &format!("[package.{name}]\nsource = '{source}'\n");
    }
    for (name, _) in &packages {
        toml += &format!("[[route]]\npath = \"/{name}/hello\"\npackage = \"{name}\"\nstrip_prefix = \"/{name}\"\n");
    }
    let file = folder.path().join("wasmgate.toml");
    std::fs::write(&file, toml).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let gateway = bootstrap::load(config::load(&file).unwrap()).unwrap();
    let connection = gateway.connection(IpAddr::from([127, 0, 0, 1]));
    for (name, _) in &packages {
        criterion.bench_function(&format!("hello on {name}"), |bencher| {
            bencher.iter(|| {
                runtime.block_on(async {
                    let request = Request::get(format!("/{name}/hello")).header("host", "localhost");
                    let request = request.body(Empty::<Bytes>::new()).unwrap();
                    let response = gateway.handle(request, &connection).await;
                    assert!(response.status().is_success());
                    response.into_body().collect().await.unwrap()
                })
            });
        });
    }
}

criterion_group!(benches, guests);
criterion_main!(benches);
