//! Components with memories and tables that are seldom met: each is served, or refused in words, and nobody else is
//! harmed.

use std::fs;

use tempfile::TempDir;

use crate::harness::{TestGateway, accepted, assert_refused, handler_component, run};

/// A component whose handler does nothing, with a module that traps at its start unless its memories are right.
fn component(module: &str) -> Vec<u8> {
    let core = format!(
        r#"(core module $odd {module})
          (core instance (instantiate $odd))
          (core module $code (func (export "handle") (param i32 i32)))
          (core instance $code (instantiate $code))"#
    );
    handler_component(&core, "")
}

/// A start function that traps unless each of these is a byte of that value, and writes over it.
fn expecting(bytes: &[(&str, &str, u8)]) -> String {
    let checks: String = bytes
        .iter()
        .map(|(memory, at, byte)| {
            format!(
                "(if (i32.ne (i32.load8_u {memory} ({at})) (i32.const {byte})) (then unreachable))
                 (i32.store8 {memory} ({at}) (i32.const 255))"
            )
        })
        .collect();
    format!("(func $check {checks}) (start $check)")
}

/// So many letters of data.
fn letters(letter: char, count: usize) -> String {
    letter.to_string().repeat(count)
}

#[tokio::test]
async fn wide_several_and_far_apart_memories_and_a_table_of_a_million_are_served_by_either_engine() {
    let (few, many) = (letters('a', 200_000), letters('b', 2_000_000));
    let odd = [
        (
            "wide",
            format!(
                r#"(memory i64 2) (data (i64.const 8) "a") {}"#,
                expecting(&[("0", "i64.const 8", b'a'), ("0", "i64.const 9", 0)])
            ),
        ),
        (
            "wide-and-much",
            format!(
                r#"(memory i64 40) (data (i64.const 8) "{many}") {}"#,
                expecting(&[
                    ("0", "i64.const 2000007", b'b'),
                    ("0", "i64.const 2000008", 0)
                ])
            ),
        ),
        (
            "several",
            format!(
                r#"(memory 20) (memory 30) (memory 40)
                   (data (memory 0) (i32.const 1) "{few}") (data (memory 2) (i32.const 2) "{few}") {}"#,
                expecting(&[
                    ("0", "i32.const 200000", b'a'),
                    ("1", "i32.const 200000", 0),
                    ("2", "i32.const 200001", b'a'),
                ])
            ),
        ),
        (
            "far-apart",
            format!(
                r#"(memory 1024) (data (i32.const 0) "{few}") (data (i32.const 62914560) "{few}") {}"#,
                expecting(&[
                    ("0", "i32.const 0", b'a'),
                    ("0", "i32.const 62914560", b'a')
                ])
            ),
        ),
        ("table", "(table 1000000 funcref)".to_owned()),
    ];
    let folder = TempDir::new().unwrap();
    let mut builder = TestGateway::builder().guest("hello");
    let mut paths = Vec::new();
    for (name, module) in &odd {
        let file = folder.path().join(format!("{name}.wasm"));
        fs::write(&file, component(module)).unwrap();
        for engine in ["auto", "pool", "copy-on-write"] {
            let package = format!("{name}-{engine}");
            builder = builder
                .package(&package, &file, &format!("engine = \"{engine}\""))
                .route(&format!("/{package}"), &package);
            paths.push(format!("/{package}"));
        }
    }
    let gateway = builder.start();
    for _ in 0..3 {
        for path in &paths {
            let reply = gateway.get(path).await;
            let reason = reply.headers.get("x-wasmgate-error").cloned();
            // It ran, found everything in its place, and answered nothing.
            assert_eq!(reason.unwrap(), "guest-no-response", "{path}");
        }
        assert_eq!(gateway.get("/hello").await.status, 200);
    }
}

#[test]
fn more_than_an_instance_may_have_is_refused_with_both_numbers() {
    for (module, words) in [
        // A table counts eight bytes an element.
        (
            "(table 20000000 funcref)",
            ["160000000 bytes of memory", "134217728"],
        ),
        (
            "(memory i64 65537)",
            ["4295032832 bytes of memory", "134217728"],
        ),
        (
            "(memory i64 281474976710656)",
            ["bytes of memory", "134217728"],
        ),
    ] {
        for engine in ["pool", "copy-on-write"] {
            let folder = TempDir::new().unwrap();
            let file = folder.path().join("odd.wasm");
            fs::write(&file, component(module)).unwrap();
            TestGateway::builder()
                .package("odd", &file, &format!("engine = \"{engine}\""))
                .write_to(folder.path());
            assert_refused(&run(folder.path(), &["check"]), &words);
        }
    }
}

#[test]
fn a_table_that_one_engine_has_no_room_for_is_refused_as_too_large_and_served_by_the_other() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("odd.wasm");
    fs::write(&file, component("(table 2000000 funcref)")).unwrap();
    for (engine, is_served) in [("pool", true), ("copy-on-write", false)] {
        TestGateway::builder()
            .package("odd", &file, &format!("engine = \"{engine}\""))
            .write_to(folder.path());
        let output = run(folder.path(), &["check"]);
        if is_served {
            accepted(&output);
        } else {
            assert_refused(&output, &["limits for one component", "2000000"]);
        }
    }
}
