//! A package with grants for its own things alone tries to reach others' through a shared sidecar, by every spelling
//! that one reads otherwise than another: each call is refused, or asks the sidecar for nothing but what is granted.

mod beside_dapr;
mod calls;
mod reading;

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, Request};
use http_body_util::BodyExt;
use serde_json::json;
use tokio::{net::TcpListener, sync::watch};
use wasmgate_dapr::{
    Body, Globs, Grants,
    sidecar::{Sidecar, SidecarSettings},
};

use crate::harness::{Answer, Apps, app_id, whole};
use calls::{CALLS, Call};

/// What nobody but its owner may see.
pub(crate) const CANARY: &str = "others-secret";

/// The grants of the package that attacks.
pub(crate) fn own_grants() -> Grants {
    let globs = |names: &[&str]| Globs::new(names.iter().copied()).unwrap();
    Grants {
        state: globs(&["statestore"]),
        publish: globs(&["pubsub/mine"]),
        subscribe: globs(&["pubsub/mine"]),
        invoke: globs(&["menu"]),
        bindings: globs(&["mine"]),
        secrets: globs(&["secretstore/mine", "secretstore/m?"]),
        configuration: globs(&["configstore/mine", "configstore/m?"]),
        lock: globs(&["lockstore"]),
        jobs: true,
        quotas: None,
        no_table: false,
    }
}

/// A request as it came to the sidecar.
#[derive(Clone, Debug)]
struct Recorded {
    method: String,
    /// As it was on the wire.
    target: String,
    headers: HeaderMap,
    body: Bytes,
}

/// A sidecar that notes what it is asked, and answers with more than it should.
struct Peer {
    sidecar: Sidecar,
    log: watch::Sender<Vec<Recorded>>,
}

impl Peer {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let log = watch::Sender::new(Vec::new());
        let noted = log.clone();
        let router = axum::Router::new().fallback(move |request: Request<Body>| {
            let log = noted.clone();
            async move {
                let (parts, body) = request.into_parts();
                let recorded = Recorded {
                    method: parts.method.to_string(),
                    target: parts.uri.to_string(),
                    headers: parts.headers,
                    body: body.collect().await.unwrap().to_bytes(),
                };
                let answer = loose_answer(&recorded.target);
                if !recorded.target.starts_with("/v1.0/healthz") {
                    log.send_modify(|log| log.push(recorded));
                }
                axum::Json(answer)
            }
        });
        tokio::spawn(async move { axum::serve(listener, router).await });
        let settings = SidecarSettings::new(endpoint.parse().unwrap());
        let apps = [(app_id("shop"), own_grants())];
        let sidecar = Sidecar::start(settings, Arc::new(Apps::default()), apps);
        sidecar
            .subscriptions_known()
            .wait_for(|known| *known)
            .await
            .unwrap();
        Self { sidecar, log }
    }

    /// What came to the sidecar for a call, and what the package got.
    async fn send(&self, call: &Call) -> (Vec<Recorded>, Answer) {
        self.log.send_modify(Vec::clear);
        let answer = whole(
            self.sidecar
                .call(&app_id("shop"), &own_grants(), call.request())
                .await,
        );
        let answer = answer.await;
        (self.log.borrow().clone(), answer)
    }
}

/// What a sidecar without any isolation of its own would answer.
fn loose_answer(target: &str) -> serde_json::Value {
    let path = target.split('?').next().unwrap();
    match path {
        path if path.ends_with("/bulk") && path.contains("/secrets/") => {
            json!({"mine": {"mine": "m"}, "other": {"other": CANARY}, "mx": {"mx": "m"}})
        }
        path if path.ends_with("/bulk") => {
            json!([{"key": "shop:k", "data": 1}, {"key": "other:k", "data": CANARY}, {"key": "k", "data": CANARY}])
        }
        path if path.ends_with("/query") => {
            json!({"results": [{"key": "other:k", "data": CANARY}, {"key": "shop:k", "data": 1}, {"key": "shopx:k", "data": CANARY}], "token": ""})
        }
        path if path.contains("/configuration/") => {
            json!({"mine": {"value": "m"}, "other": {"value": CANARY}, "id": {"value": "x"}})
        }
        path if path.ends_with("/metadata") => json!({
            "id": "gateway", "runtimeVersion": "1.18.1", "extended": {"note": CANARY},
            "components": [{"name": "statestore", "type": "state.redis", "version": "v1"},
                           {"name": CANARY, "type": "state.redis", "version": "v1"}],
            "subscriptions": [{"pubsubname": "pubsub", "topic": CANARY, "rules": []}],
        }),
        _ => json!({}),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_spelling_reaches_what_is_not_granted() {
    let peer = Peer::start().await;
    assert!(CALLS.len() >= 60, "{}", CALLS.len());
    let mut wrong = Vec::new();
    for call in CALLS {
        let (came, answer) = peer.send(call).await;
        for recorded in &came {
            if let Err(reason) = reading::check(recorded) {
                wrong.push(format!("{call:?}: {reason}: {recorded:?}"));
            }
        }
        if call.refused && (!came.is_empty() || answer.status < 400) {
            wrong.push(format!("{call:?} is not refused: {answer:?} {came:?}"));
        }
        if !call.refused && came.is_empty() {
            wrong.push(format!(
                "{call:?} should be harmless, but is refused: {answer:?}"
            ));
        }
        let shown = String::from_utf8_lossy(&answer.body);
        if shown.contains(CANARY) {
            wrong.push(format!("{call:?} shows what is another's: {shown}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn notes_of_a_package_stay_here_and_are_its_own() {
    let peer = Peer::start().await;
    let note = Call::harmless("PUT", "/v1.0/metadata/note", &[], "mine");
    let (came, answer) = peer.send(&note).await;
    assert!(
        came.is_empty() && answer.status == 204,
        "{came:?} {answer:?}"
    );
    let shown = peer
        .send(&Call::harmless("GET", "/v1.0/metadata", &[], ""))
        .await
        .1;
    assert_eq!(shown.json()["extended"], json!({"note": "mine"}));
    assert_eq!(shown.json()["components"][0]["name"], "statestore");
    let request = Request::get("/v1.0/metadata").body(Body::empty()).unwrap();
    let other = peer
        .sidecar
        .call(&app_id("other"), &own_grants(), request)
        .await;
    assert_eq!(whole(other).await.json()["extended"], json!({}));
}
