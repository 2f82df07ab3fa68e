//! What stands on the other side: registries that do as they like, ways there that break, and who pushes by hand.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Output,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use axum::{body::Body, response::Response, routing::any};
use http::{Method, Request, StatusCode, Uri};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};
use wasmgate_real_dapr::DockerRegistry;

use crate::harness::{Builder, Reply, TestGateway, command, full, guest, output_of, send_to};

/// The media types of the layout.
pub(super) const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
pub(super) const INDEX: &str = "application/vnd.oci.image.index.v1+json";
pub(super) const CONFIG: &str = "application/vnd.wasm.config.v0+json";
pub(super) const LAYER: &str = "application/wasm";

/// A registry that takes everything, if there is one on this machine.
pub(super) async fn open_registry() -> Option<DockerRegistry> {
    let mut registry = DockerRegistry::new()?;
    registry.start().await;
    Some(registry)
}

/// A registry that has a component which greets, at `team/site:1`, and a folder of whoever pulls it.
pub(super) struct Shelf {
    pub(super) registry: DockerRegistry,
    pub(super) folder: TempDir,
    /// The reference of the component.
    pub(super) reference: String,
}

/// One with `hello` in it, if there is a registry on this machine.
pub(super) async fn shelf() -> Option<Shelf> {
    let registry = open_registry().await?;
    let reference = format!("oci://{}/team/site:1", registry.address());
    push(&guest("hello"), &reference);
    Some(Shelf {
        registry,
        folder: TempDir::new().unwrap(),
        reference,
    })
}

impl Shelf {
    /// The configuration of a gateway with the component.
    pub(super) fn site(&self, lines: &str) -> Builder {
        site(self.folder.path(), &self.reference, lines)
    }

    /// Runs `wasmgate check` on that; its exit code, and what it says of mistakes.
    pub(super) fn check(&self, lines: &str) -> (i32, String) {
        self.site(lines).write_to(self.folder.path());
        let checked = wasmgate(self.folder.path(), &["check"]);
        (checked.status.code().unwrap(), text(&checked.stderr))
    }
}

/// Runs a command in a folder, as nobody that is logged in anywhere.
pub(super) fn wasmgate(folder: &Path, arguments: &[&str]) -> Output {
    let mut command = command(folder, arguments);
    command.env("DOCKER_CONFIG", folder);
    output_of(command)
}

/// The digest in hexadecimal.
pub(super) fn sha256(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

/// Pushes a component with the command.
pub(super) fn push(component: &Path, reference: &str) {
    let folder = TempDir::new().unwrap();
    let pushed = wasmgate(
        folder.path(),
        &["push", component.to_str().unwrap(), reference],
    );
    assert!(pushed.status.success(), "{}", text(&pushed.stderr));
}

pub(super) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A configuration with one package from a registry at `/site`, whose cache is the folder's own.
pub(super) fn site(folder: &Path, source: &str, lines: &str) -> Builder {
    TestGateway::builder()
        .environment("DOCKER_CONFIG", folder.to_str().unwrap())
        .cache(&folder.join("cache"))
        .package("site", Path::new(source), lines)
        .route("/site", "site")
}

/// What the package at `/site` answers.
pub(super) async fn answer(gateway: &TestGateway) -> String {
    gateway.get("/site").await.text()
}

/// `/status` of a gateway.
pub(super) async fn status(gateway: &TestGateway) -> Value {
    serde_json::from_str(&gateway.admin_get("/status").await.text()).unwrap()
}

/// The digest that a gateway pulled for its first package.
pub(super) async fn served(gateway: &TestGateway) -> String {
    let status = status(gateway).await;
    status["packages"][0]["pulled"]["digest"]
        .as_str()
        .unwrap()
        .to_owned()
}

/// Asks for a reload as an operator on this machine does.
pub(super) async fn reload(gateway: &TestGateway) -> Reply {
    let request = Request::post("/reload")
        .header("host", gateway.admin.to_string())
        .header("content-type", "application/json");
    send_to(gateway.admin, request.body(full("{}")).unwrap()).await
}

/// A component that does the same and has other bytes: with a custom section of so many behind it.
pub(super) fn padded(component: &Path, folder: &Path, bytes: usize) -> PathBuf {
    let mut whole = std::fs::read(component).unwrap();
    whole.push(0);
    // In LEB128: the length of the section, which begins with a name of one byte.
    let mut length = bytes + 2;
    while length >= 0x80 {
        whole.push((length % 0x80) as u8 | 0x80);
        length /= 0x80;
    }
    whole.extend([length as u8, 1, b'x']);
    whole.extend((0..bytes).map(|at| (at % 251) as u8));
    let file = folder.join(format!("padded-{bytes}.wasm"));
    std::fs::write(&file, whole).unwrap();
    file
}

/// Another version of a component.
pub(super) fn other_version(component: &Path, folder: &Path) -> PathBuf {
    padded(component, folder, 10)
}

/// Puts a blob into a repository by hand.
pub(super) async fn put_blob(registry: SocketAddr, repository: &str, bytes: &[u8]) -> Value {
    let begun = Request::post(format!("/v2/{repository}/blobs/uploads/")).header("host", registry.to_string());
    let begun = send_to(registry, begun.body(full("")).unwrap()).await;
    assert_eq!(begun.status, 202, "{}", begun.text());
    let location: Uri = begun.headers["location"].to_str().unwrap().parse().unwrap();
    let digest = format!("sha256:{}", sha256(bytes));
    let target = format!("{}&digest={digest}", location.path_and_query().unwrap());
    let put = Request::put(target).header("host", registry.to_string());
    let put = send_to(registry, put.body(full(bytes.to_vec())).unwrap()).await;
    assert_eq!(put.status, 201, "{}", put.text());
    json!({"digest": digest, "size": bytes.len()})
}

/// Puts a manifest there, and answers with its digest.
pub(super) async fn put_manifest(
    registry: SocketAddr,
    repository: &str,
    tag: &str,
    media_type: &str,
    manifest: &Value,
) -> String {
    let bytes = manifest.to_string();
    let put = Request::put(format!("/v2/{repository}/manifests/{tag}"))
        .header("host", registry.to_string())
        .header("content-type", media_type);
    let put = send_to(registry, put.body(full(bytes.clone())).unwrap()).await;
    assert_eq!(put.status, 201, "{}", put.text());
    format!("sha256:{}", sha256(bytes.as_bytes()))
}

/// A descriptor of a blob with a media type.
pub(super) fn of_type(media_type: &str, mut blob: Value) -> Value {
    blob["mediaType"] = json!(media_type);
    blob
}

/// A way to a registry that breaks after so many bytes of each connection, as long as `cuts` are left.
pub(super) struct Cutting {
    pub(super) address: SocketAddr,
    pub(super) cuts: Arc<AtomicUsize>,
    /// The registry is gone once it broke.
    pub(super) dies: Arc<AtomicBool>,
}

impl Cutting {
    pub(super) async fn before(registry: SocketAddr, bytes: usize, cuts: usize) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (cuts, dies) = (
            Arc::new(AtomicUsize::new(cuts)),
            Arc::new(AtomicBool::new(false)),
        );
        let (left, dying) = (Arc::clone(&cuts), Arc::clone(&dies));
        let dead = Arc::new(AtomicBool::new(false));
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                if dead.load(Ordering::SeqCst) {
                    continue;
                }
                let (left, dying, dead) = (Arc::clone(&left), Arc::clone(&dying), Arc::clone(&dead));
                tokio::spawn(async move {
                    let is_cut = pass(client, registry, bytes, left).await;
                    if is_cut && dying.load(Ordering::SeqCst) {
                        dead.store(true, Ordering::SeqCst);
                    }
                });
            }
        });
        Self {
            address,
            cuts,
            dies,
        }
    }
}

/// Passes on what both say; true when it was cut.
async fn pass(client: TcpStream, registry: SocketAddr, bytes: usize, cuts: Arc<AtomicUsize>) -> bool {
    let Ok(server) = TcpStream::connect(registry).await else {
        return false;
    };
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let asking = tokio::spawn(async move { tokio::io::copy(&mut from_client, &mut to_server).await });
    let mut buffer = vec![0; 16 << 10];
    let mut passed = 0;
    while let Ok(read @ 1..) = from_server.read(&mut buffer).await {
        passed += read;
        let is_cut = passed > bytes
            && cuts
                .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| {
                    left.checked_sub(1)
                })
                .is_ok();
        if is_cut {
            // Some of it arrives, so that there is something to go on from.
            let _ = to_client.write_all(&buffer[..read / 2]).await;
            asking.abort();
            return true;
        }
        if to_client.write_all(&buffer[..read]).await.is_err() {
            break;
        }
    }
    asking.abort();
    false
}

/// A request that a registry of the test's own was asked.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    pub(super) method: Method,
    pub(super) target: String,
    pub(super) authorization: Option<String>,
}

/// A registry that answers as a test says.
pub(super) struct Fake {
    pub(super) address: SocketAddr,
    asked: Arc<parking_lot::Mutex<Vec<Asked>>>,
}

impl Fake {
    pub(super) async fn start(answer: impl Fn(&Asked) -> Response + Clone + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let asked = Arc::new(parking_lot::Mutex::new(Vec::new()));
        let all = Arc::clone(&asked);
        let handler = any(move |request: Request<Body>| {
            let header = |name: &str| Some(request.headers().get(name)?.to_str().ok()?.to_owned());
            let one = Asked {
                method: request.method().clone(),
                target: request.uri().to_string(),
                authorization: header("authorization"),
            };
            all.lock().push(one.clone());
            let answer = answer(&one);
            async move { answer }
        });
        let router = axum::Router::new().fallback(handler);
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { address, asked }
    }

    /// All requests so far.
    pub(super) fn asked(&self) -> Vec<Asked> {
        self.asked.lock().clone()
    }

    /// The reference of a component in it.
    pub(super) fn reference(&self) -> String {
        format!("oci://{}/site:1", self.address)
    }
}

/// An answer of a registry.
pub(super) fn reply(status: u16, headers: &[(&str, &str)], body: impl Into<Body>) -> Response {
    let mut reply = Response::builder().status(StatusCode::from_u16(status).unwrap());
    for (name, value) in headers {
        reply = reply.header(*name, *value);
    }
    reply.body(body.into()).unwrap()
}

/// The manifest of a component in one layer of this size.
pub(super) fn manifest(digest: &str, size: u64) -> String {
    json!({"schemaVersion": 2, "mediaType": MANIFEST,
        "config": {"mediaType": CONFIG, "digest": format!("sha256:{}", sha256(b"{}")), "size": 2},
        "layers": [{"mediaType": LAYER, "digest": format!("sha256:{digest}"), "size": size}]})
    .to_string()
}
