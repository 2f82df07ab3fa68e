//! Registries that mean no good: whatever they answer, the gateway says so and what it has stays as it is.

use axum::{body::Body, response::Response};
use bytes::Bytes;
use futures_util::stream;
use tempfile::TempDir;

use super::opponents::{Asked, Fake, answer, manifest, reload, reply, sha256, site, text, wasmgate};
use crate::harness::guest;

/// A body that has no end.
fn endless() -> Body {
    let more = Bytes::from_static(&[b' '; 64 << 10]);
    Body::from_stream(stream::repeat_with(move || {
        Ok::<_, std::io::Error>(more.clone())
    }))
}

/// What a pull from a registry with these answers says, and its exit code.
async fn pull(answer: impl Fn(&Asked) -> Response + Clone + Send + Sync + 'static) -> (i32, String, Vec<Asked>) {
    let fake = Fake::start(answer).await;
    let folder = TempDir::new().unwrap();
    let (path, reference) = (folder.path().to_owned(), fake.reference());
    let pulling = tokio::task::spawn_blocking(move || wasmgate(&path, &["pull", &reference, "-o", "x.wasm"]));
    let pulled = pulling.await.unwrap();
    assert!(!folder.path().join("x.wasm").exists());
    (
        pulled.status.code().unwrap(),
        text(&pulled.stderr),
        fake.asked(),
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_has_no_end_is_not_read_to_it() {
    let (code, told, _) = pull(|_| reply(200, &[], endless())).await;
    assert_eq!(code, 65, "{told}");
    assert!(told.contains("at most 4194304 are taken"), "{told}");
    let (code, told, _) = pull(|_| reply(500, &[], endless())).await;
    assert_eq!(code, 69, "{told}");
    let (code, told, asked) = pull(|asked| {
        if asked.target.contains("/manifests/") {
            return reply(200, &[], manifest(&sha256(b"x"), 1000));
        }
        reply(200, &[], endless())
    })
    .await;
    assert_eq!(code, 65, "{told}");
    assert!(told.contains("at most 1000 are taken"), "{told}");
    assert_eq!(asked.len(), 2, "{asked:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_layer_that_is_far_too_large_is_not_asked_for() {
    let (code, told, asked) = pull(|_| reply(200, &[], manifest(&sha256(b"x"), 1 << 40))).await;
    assert_eq!(code, 65, "{told}");
    assert!(told.contains("1099511627776 bytes"), "{told}");
    assert_eq!(asked.len(), 1, "{asked:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_that_no_registry_gives_are_told_in_words() {
    let digest = format!("sha256:{}", sha256(b"other"));
    type Answer = Box<dyn Fn() -> Response + Send + Sync>;
    let cases: Vec<(&str, Answer, i32, &str)> = vec![
        (
            "no JSON",
            Box::new(|| reply(200, &[], "<html>")),
            65,
            "its manifest cannot be read",
        ),
        (
            "nothing",
            Box::new(|| reply(200, &[], "")),
            65,
            "its manifest cannot be read",
        ),
        (
            "an old one",
            Box::new(|| reply(200, &[], r#"{"schemaVersion": 1}"#)),
            65,
            "version 1",
        ),
        (
            "another digest",
            Box::new({
                let digest = digest.clone();
                move || {
                    reply(
                        200,
                        &[("docker-content-digest", &digest)],
                        manifest(&sha256(b"x"), 1),
                    )
                }
            }),
            65,
            "is asked for",
        ),
        ("a teapot", Box::new(|| reply(418, &[], "")), 76, "418"),
        (
            "nowhere",
            Box::new(|| reply(302, &[], "")),
            76,
            "leads nowhere",
        ),
        (
            "in a circle",
            Box::new(|| reply(302, &[("location", "/v2/")], "")),
            76,
            "leads further",
        ),
        (
            "to plain HTTP",
            Box::new(|| reply(302, &[("location", "http://registry.invalid/x")], "")),
            76,
            "plain HTTP",
        ),
        (
            "to a file",
            Box::new(|| reply(302, &[("location", "file:///etc/passwd")], "")),
            76,
            "leads to",
        ),
        (
            "its words",
            Box::new(|| {
                reply(
                    403,
                    &[],
                    r#"{"errors":[{"code":"DENIED","message":"not\u001b[31m you"}]}"#,
                )
            }),
            77,
            "403: not[31m you",
        ),
        (
            "digests of another kind",
            Box::new(|| reply(200, &[], manifest("x", 1))),
            65,
            "its layer has the digest",
        ),
    ];
    for (name, answer, code, words) in cases {
        let answer = std::sync::Arc::new(answer);
        let (found, told, _) = pull(move |_| answer()).await;
        assert_eq!(found, code, "{name}: {told}");
        assert!(
            told.contains(words) && told.contains("help:"),
            "{name}: {told}"
        );
        assert!(!told.contains('\u{1b}'), "{name}: {told}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_registry_that_is_busy_is_asked_again_as_it_wishes() {
    let component = std::fs::read(guest("hello")).unwrap();
    let refusals = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let fake = Fake::start(move |asked: &Asked| {
        let before = refusals.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        if before.is_multiple_of(2) {
            return reply(429, &[("retry-after", "0")], "");
        }
        if asked.target.contains("/manifests/") {
            return reply(
                200,
                &[],
                manifest(&sha256(&component), component.len() as u64),
            );
        }
        reply(200, &[], component.clone())
    })
    .await;
    let folder = TempDir::new().unwrap();
    let gateway = site(folder.path(), &fake.reference(), "").start();
    assert_eq!(answer(&gateway).await, "Hello from a package\n");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_registry_that_turns_bad_changes_nothing_of_what_is_served() {
    let component = std::fs::read(guest("hello")).unwrap();
    let mode = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let fake = Fake::start({
        let mode = std::sync::Arc::clone(&mode);
        move |asked: &Asked| match mode.load(std::sync::atomic::Ordering::SeqCst) {
            0 if asked.target.contains("/manifests/") => reply(
                200,
                &[],
                manifest(&sha256(&component), component.len() as u64),
            ),
            0 => reply(200, &[], component.clone()),
            1 => reply(200, &[], endless()),
            2 => reply(401, &[], ""),
            3 => reply(404, &[], ""),
            4 => reply(200, &[], manifest(&sha256(b"\0asm"), 4)),
            _ => reply(302, &[("location", "/")], ""),
        }
    })
    .await;
    let folder = TempDir::new().unwrap();
    let gateway = site(folder.path(), &fake.reference(), "").start();
    for now in 1..=5 {
        mode.store(now, std::sync::atomic::Ordering::SeqCst);
        let reply = reload(&gateway).await;
        // What says nothing of the component leaves it; what is another component that is bad is refused.
        let expected = if matches!(now, 1 | 4) { 422 } else { 200 };
        assert_eq!(reply.status, expected, "{now}: {}", reply.text());
        assert_eq!(answer(&gateway).await, "Hello from a package\n", "{now}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_registry_that_lies_about_a_component_keeps_it_from_nobody_who_has_it_from_another() {
    let component = std::fs::read(guest("hello")).unwrap();
    let digest = sha256(&component);
    let bytes = component.len() as u64;
    let serve = |size: u64, body: Vec<u8>| {
        let digest = digest.clone();
        Fake::start(move |asked: &Asked| {
            if asked.target.contains("/manifests/") {
                return reply(200, &[], manifest(&digest, size));
            }
            reply(200, &[], body.clone())
        })
    };
    let short = serve(1, component.clone()).await;
    let other = serve(bytes, vec![0; component.len()]).await;
    let good = serve(bytes, component.clone()).await;
    let folder = TempDir::new().unwrap();
    let mut builder = site(folder.path(), &good.reference(), "");
    for (name, fake) in [("short", &short), ("other", &other)] {
        builder = builder.package(name, std::path::Path::new(&fake.reference()), "");
    }
    let gateway = builder.start();
    assert_eq!(answer(&gateway).await, "Hello from a package\n");
}
