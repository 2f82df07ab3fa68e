//! Programs that answer with no response, and what is no program at all.

use tempfile::TempDir;

use super::{BOTH, TARGETS, assert_unharmed, both};
use crate::harness::{TestGateway, accepted, assert_refused, check, empty, guest, is_broken, script, until};

#[tokio::test]
async fn an_output_that_is_no_response_is_a_502_with_words_for_its_author() {
    let gateway = both("", "").start();
    for (path, words) in [
        ("prints-nothing", "it printed nothing"),
        ("prints-no-header", "which is no header line"),
        ("prints-a-word", "which is no header line"),
        ("ends-within-its-head", "ended before the empty line"),
        ("prints-a-status-line", "print `Status: 200`"),
        ("says-no-type", "no `Content-Type`"),
        ("folds", "which is no header line"),
        ("splits", "`content-type` has characters"),
        ("has-a-zero-byte", "`x-a` has characters"),
        ("says-it-is-chunked", "`Transfer-Encoding`"),
        ("never-ends-its-head", "more than 65536 bytes"),
        ("never-ends-its-line", "more than 65536 bytes"),
        ("status?100", "100 is no status of a response"),
        ("status?fine", "begins with no number"),
    ] {
        for name in BOTH {
            let reply = gateway.get(&format!("/{name}/{path}")).await;
            assert_eq!(reply.status, 502, "{name}/{path}: {}", reply.text());
            reply.assert_error(502, "guest-bad-response");
            assert!(!reply.headers.contains_key("set-cookie"), "{path}");
        }
        until(&format!("{words} in the log"), || async {
            gateway.log().contains(words)
        })
        .await;
    }
    for (path, words) in [
        ("is-too-long", "longer than its `Content-Length`"),
        ("is-too-short", "24 bytes shorter"),
    ] {
        for name in BOTH {
            let target = format!("/{name}/{path}");
            let event = gateway
                .assert_fails_or_breaks_off(&target, "guest-bad-response")
                .await;
            assert!(event.field("error").unwrap().contains(words), "{event:?}");
        }
    }
    assert_unharmed(&gateway).await;
}

#[tokio::test]
async fn a_trap_before_the_answer_is_told_and_one_within_it_cuts_it() {
    let gateway = both("", "").start();
    for name in BOTH {
        gateway
            .get(&format!("/{name}/traps"))
            .await
            .assert_error(502, "guest-trap");
        let target = format!("/{name}/traps-within?0");
        gateway
            .assert_fails_or_breaks_off(&target, "guest-trap")
            .await;
        let request = gateway.request("GET", &format!("/{name}/traps-within?4"));
        let response = gateway.start_request(request.body(empty()).unwrap()).await;
        assert!(is_broken(response).await, "{name} ended cleanly");
        assert_unharmed(&gateway).await;
    }
}

#[test]
fn check_says_what_a_source_is_and_which_kind_it_would_need() {
    let folder = TempDir::new().unwrap();
    let cgi = "kind = \"cgi\"";
    for target in TARGETS {
        let told = accepted(&check(folder.path(), &script(target), cgi));
        assert!(
            told.contains("suspect is made for wasi:cli/command@0.2"),
            "{told}"
        );
        let output = check(folder.path(), &script(target), "");
        assert_refused(&output, &["say so: kind = \"cgi\""]);
    }
    let output = check(folder.path(), &guest("hello"), cgi);
    assert_refused(&output, &["remove `kind`", "wasi:http/incoming-handler"]);
    let output = check(folder.path(), &guest("hello"), "kind = \"fcgi\"");
    assert_refused(&output, &["there is no kind \"fcgi\""]);
    let lines = format!("{cgi}\nenv = {{ PATH_INFO = \"/\" }}");
    let output = check(folder.path(), &script(TARGETS[0]), &lines);
    assert_refused(&output, &["PATH_INFO is set by the gateway"]);
}

#[test]
fn a_module_that_is_no_program_is_told_by_what_it_lacks() {
    let folder = TempDir::new().unwrap();
    for (text, words) in [
        (
            "(module (func (export \"_initialize\")))",
            "exports no function `_start`",
        ),
        (
            "(module (import \"wasi_unstable\" \"f\" (func)) (func (export \"_start\")))",
            "imports from `wasi_unstable`",
        ),
        (
            "(module (import \"env\" \"memory\" (memory 1)) (func (export \"_start\")))",
            "imports from `env`",
        ),
        (
            "(module (import \"wasi_snapshot_preview1\" \"no_such\" (func)) (func (export \"_start\")))",
            "no_such",
        ),
        (
            "(module (memory (export \"memory\") 65536) (func (export \"_start\")))",
            "`limits.memory`",
        ),
    ] {
        let source = folder.path().join("suspect.wasm");
        std::fs::write(&source, wat::parse_str(text).unwrap()).unwrap();
        assert_refused(&check(folder.path(), &source, "kind = \"cgi\""), &[words]);
    }
    let source = folder.path().join("suspect.wasm");
    std::fs::write(&source, b"\0asm\x01\0\0\0\xff\xff").unwrap();
    let output = check(folder.path(), &source, "kind = \"cgi\"");
    assert_refused(&output, &["cannot run as a program"]);
}

#[tokio::test]
async fn a_program_of_0_1_is_made_a_component_once_and_served_from_the_cache_after_that() {
    let folder = TempDir::new().unwrap();
    let cache = folder.path().join("compiled");
    let builder = || {
        TestGateway::builder()
            .cache(&cache)
            .package("old", &script(TARGETS[0]), "kind = \"cgi\"")
            .route("/old/{*rest}", "old")
    };
    let files = || {
        let names = std::fs::read_dir(&cache).unwrap();
        let names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<_> = names.filter(|name| name.ends_with(".cwasm")).collect();
        names.sort();
        names
    };
    let gateway = builder().start();
    assert_eq!(gateway.get("/old/count").await.text(), "1");
    let made = files();
    assert_eq!(made.len(), 2, "{made:?}");
    drop(gateway);
    let gateway = builder().start();
    assert_eq!(gateway.get("/old/count").await.text(), "1");
    assert_eq!(files(), made);
    let metrics = gateway.metrics().await;
    assert_eq!(metrics.sum("wasmgate_compilations_total", &[]), 0.0);
}
