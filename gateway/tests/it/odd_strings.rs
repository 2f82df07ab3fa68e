//! Guests whose strings are of UTF-16, or of Latin-1 and UTF-16 in turns, as those of some languages are.

use std::fs;

use tempfile::TempDir;

use crate::harness::{Builder, TestGateway};

const ENCODINGS: [&str; 3] = ["utf8", "utf16", "latin1+utf16"];

/// The bit of a length by which a string of the third encoding says that it is of UTF-16.
const TAG: u32 = 1 << 31;

/// Bytes of the guest's memory.
const MEMORY: u32 = 512 << 16;

/// A component whose strings have an encoding. Its handler does this, and answers nothing: `$log` puts a string at
/// `(param i32 i32)`, a place and a length, into the log, and `$environment` gives the place of the first value of the
/// environment, behind which its length is. Its realloc does `realloc` with what it would answer.
fn component(encoding: &str, data: &str, body: &str, realloc: &str) -> Vec<u8> {
    let pages = MEMORY >> 16;
    let text = format!(
        r#"(component
          (import "wasi:logging/logging@0.1.0-draft" (instance $logging
            (type $weight (enum "trace" "debug" "info" "warn" "error" "critical"))
            (export "level" (type $level (eq $weight)))
            (export "log" (func (param "level" $level) (param "context" string) (param "message" string)))))
          (import "wasi:cli/environment@0.2.0" (instance $environment
            (export "get-environment" (func (result (list (tuple string string)))))))
          (import "wasi:http/types@0.2.0" (instance $types
            (export "incoming-request" (type (sub resource)))
            (export "response-outparam" (type (sub resource)))))
          (alias export $types "incoming-request" (type $request))
          (alias export $types "response-outparam" (type $outparam))
          (core module $heap
            (memory (export "memory") {pages})
            (global $end (mut i32) (i32.const 0x100000))
            (func (export "realloc") (param $old i32) (param $had i32) (param $align i32) (param $size i32) (result i32)
              (local $at i32)
              (if (i32.and (i32.ne (local.get $old) (i32.const 0)) (i32.le_u (local.get $size) (local.get $had)))
                (then (return (local.get $old))))
              (local.set $at (i32.and (i32.add (global.get $end) (i32.const 7)) (i32.const -8)))
              (global.set $end (i32.add (local.get $at) (local.get $size)))
              (memory.copy (local.get $at) (local.get $old) (local.get $had))
              (local.get $at) {realloc}))
          (core instance $heap (instantiate $heap))
          (alias core export $heap "memory" (core memory $memory))
          (core func $log (canon lower (func $logging "log") (memory $memory) string-encoding={encoding}))
          (core func $environment (canon lower (func $environment "get-environment")
            (memory $memory) (realloc (core func $heap "realloc")) string-encoding={encoding}))
          (core module $code
            (import "host" "memory" (memory {pages}))
            (import "host" "log" (func $log_all (param i32 i32 i32 i32 i32)))
            (import "host" "environment" (func $get_environment (param i32)))
            (data (i32.const 1024) "{data}")
            (func $log (param i32 i32)
              (call $log_all (i32.const 2) (i32.const 0) (i32.const 0) (local.get 0) (local.get 1)))
            (func $environment (result i32)
              (call $get_environment (i32.const 0))
              (i32.add (i32.load (i32.const 0)) (i32.const 8)))
            (func (export "handle") (param i32 i32) (local $at i32) {body}))
          (core instance $code (instantiate $code (with "host" (instance
            (export "memory" (memory $memory))
            (export "log" (func $log))
            (export "environment" (func $environment))))))
          (func $handle (param "request" (own $request)) (param "response-out" (own $outparam))
            (canon lift (core func $code "handle")))
          (instance $handler (export "handle" (func $handle)))
          (export "wasi:http/incoming-handler@0.2.0" (instance $handler)))"#
    );
    wat::parse_str(text).unwrap()
}

/// A component's data of these bytes.
fn data(bytes: impl IntoIterator<Item = u8>) -> String {
    bytes
        .into_iter()
        .map(|byte| format!("\\{byte:02x}"))
        .collect()
}

fn utf16(text: &str) -> Vec<u8> {
    text.encode_utf16().flat_map(u16::to_le_bytes).collect()
}

/// Guests of one worker, beside a neighbour.
struct Guests {
    folder: TempDir,
    builder: Builder,
    names: Vec<String>,
}

impl Guests {
    fn new() -> Self {
        Self {
            folder: TempDir::new().unwrap(),
            builder: TestGateway::builder().server("workers = 1").guest("hello"),
            names: Vec::new(),
        }
    }

    fn add(&mut self, component: &[u8], lines: &str) -> String {
        let name = format!("guest-{}", self.names.len());
        let file = self.folder.path().join(format!("{name}.wasm"));
        fs::write(&file, component).unwrap();
        let builder = std::mem::take(&mut self.builder);
        self.builder = builder
            .package(&name, &file, lines)
            .route(&format!("/{name}"), &name);
        self.names.push(name.clone());
        name
    }
}

#[tokio::test]
async fn strings_of_every_encoding_go_to_the_host_and_come_from_it() {
    let mut guests = Guests::new();
    let mut expected = Vec::new();
    let back = "(local.set $at (call $environment)) (call $log (i32.load (local.get $at)) (i32.load offset=4 (local.get $at)))";
    for text in ["plain", "grün", "Ω and 🦀", ""] {
        for encoding in ENCODINGS {
            let is_latin = text.chars().all(|letter| letter <= '\u{ff}');
            let (bytes, length) = match encoding {
                "utf8" => (text.as_bytes().to_vec(), text.len()),
                "latin1+utf16" if is_latin => {
                    let bytes = text.chars().map(|letter| u8::try_from(letter).unwrap());
                    (bytes.collect(), text.chars().count())
                }
                _ => (utf16(text), text.encode_utf16().count()),
            };
            let tag = if encoding == "latin1+utf16" && !is_latin {
                TAG
            } else {
                0
            };
            let length = u32::try_from(length).unwrap() | tag;
            let body = format!(
                "(call $log (i32.const 1024) (i32.const {})) {back}",
                length.cast_signed()
            );
            let component = component(encoding, &data(bytes), &body, "");
            let lines = format!("env = {{ A = \"<{text}>\" }}");
            expected.push((guests.add(&component, &lines), text));
        }
    }
    let gateway = guests.builder.start();
    for (name, text) in &expected {
        // It ran to its end, and answered nothing.
        let reply = gateway.get(&format!("/{name}")).await;
        reply.assert_error(502, "guest-no-response");
        for message in [(*text).to_owned(), format!("<{text}>")] {
            // An empty line is none.
            if !message.is_empty() {
                let said = [("package", name.as_str()), ("message", message.as_str())];
                gateway.wait_for_event(&said).await;
            }
        }
    }
}

#[tokio::test]
async fn strings_that_are_none_or_larger_than_a_call_may_be_end_their_guest_and_nobody_else() {
    let mut guests = Guests::new();
    let lone = [0x41, 0, 0, 0xd8, 0x41, 0];
    let cases: [(&str, &str, &[u8], u32, u32); 14] = [
        ("a lone surrogate", "utf16", &lone, 1024, 3),
        ("half of a pair at the end", "utf16", &lone, 1024, 2),
        ("a lone surrogate", "latin1+utf16", &lone, 1024, 3 | TAG),
        ("an odd place", "utf16", &[], 1025, 1),
        ("an odd place", "latin1+utf16", &[], 1025, 1),
        ("an odd place", "latin1+utf16", &[], 1025, 1 | TAG),
        ("beyond the memory", "utf16", &[], MEMORY - 2, 2),
        (
            "beyond the memory",
            "latin1+utf16",
            &[],
            MEMORY - 2,
            2 | TAG,
        ),
        ("beyond the memory", "latin1+utf16", &[], MEMORY - 2, 3),
        ("a length that wraps", "utf16", &[], 1024, TAG),
        ("a length that wraps", "utf16", &[], 1024, u32::MAX),
        ("a length that wraps", "latin1+utf16", &[], 1024, u32::MAX),
        // Eight megabytes are the most.
        ("too much at once", "utf16", &[], 1024, (4 << 20) + 1),
        ("too much at once", "latin1+utf16", &[], 1024, (8 << 20) + 1),
    ];
    let mut names = Vec::new();
    for (what, encoding, bytes, place, length) in cases {
        let body = format!(
            "(call $log (i32.const {}) (i32.const {}))",
            place.cast_signed(),
            length.cast_signed()
        );
        let component = component(encoding, &data(bytes.iter().copied()), &body, "");
        names.push((format!("{what}, {encoding}"), guests.add(&component, "")));
    }
    // What the host hands over goes where the guest says, if there is such a place.
    for (what, place) in [("an odd place", "1025"), ("beyond the memory", "-2")] {
        for encoding in ["utf16", "latin1+utf16"] {
            // Only of what is not the list itself, whose elements are wider.
            let realloc = format!(
                "(if (result i32) (i32.le_u (local.get $align) (i32.const 2)) (then (i32.const {place})) (else (local.get $at)))"
            );
            let component = component(
                encoding,
                "",
                "(drop (call $environment))",
                &format!("drop {realloc}"),
            );
            let name = guests.add(&component, "env = { A = \"Ω\" }");
            names.push((format!("{what} of its own, {encoding}"), name));
        }
    }
    let gateway = guests.builder.start();
    for (what, name) in &names {
        let reply = gateway.get(&format!("/{name}")).await;
        assert_eq!(reply.status, 502, "{what}: {}", reply.text());
        reply.assert_error(502, "guest-trap");
        assert_eq!(gateway.get("/hello").await.text(), "Hello from a package\n");
    }
}

#[tokio::test]
async fn as_much_text_as_a_call_may_have_is_taken_and_what_is_handed_over_counts_as_the_guests_memory() {
    let mut guests = Guests::new();
    // Zeros are text: each is a letter of one byte.
    let most = [
        ("utf16", 4 << 20),
        ("latin1+utf16", 8 << 20),
        ("latin1+utf16", (4 << 20) | TAG),
    ];
    let mut names = Vec::new();
    for (encoding, length) in most {
        let length = u32::cast_signed(length);
        let body = format!("(call $log (i32.const 1024) (i32.const {length}))");
        names.push(guests.add(&component(encoding, "", &body, ""), ""));
    }
    let long = "ü".repeat(200_000);
    for encoding in ENCODINGS {
        let body = "(local.set $at (call $environment)) (call $log (i32.load (local.get $at)) (i32.const 6))";
        let lines = format!("env = {{ A = \"{long}\" }}");
        names.push(guests.add(&component(encoding, "", body, ""), &lines));
    }
    let gateway = guests.builder.start();
    for name in &names {
        gateway
            .get(&format!("/{name}"))
            .await
            .assert_error(502, "guest-no-response");
        assert_eq!(gateway.get("/hello").await.text(), "Hello from a package\n");
    }
    for name in &names[3..] {
        let letters = if name == &names[3] { 3 } else { 6 };
        let said = [
            ("package", name.as_str()),
            ("message", &*"ü".repeat(letters)),
        ];
        gateway.wait_for_event(&said).await;
    }
}

#[tokio::test]
async fn a_guest_that_never_says_where_a_string_goes_meets_its_deadline_and_lets_its_neighbour_answer() {
    let mut guests = Guests::new();
    let component = component("utf16", "", "(drop (call $environment))", "(loop (br 0))");
    let name = guests.add(
        &component,
        "env = { A = \"text\" }\nlimits = { timeout = \"8s\" }",
    );
    let gateway = guests.builder.start();
    let target = format!("/{name}");
    let neighbour = async {
        gateway.wait_for_in_flight(&name, 1).await;
        for _ in 0..5 {
            assert_eq!(gateway.get("/hello").await.text(), "Hello from a package\n");
        }
        let metrics = gateway.metrics().await;
        let labels = [("package", &*name)];
        assert_eq!(metrics.sum("wasmgate_instances_in_flight", &labels), 1.0);
    };
    let (reply, ()) = tokio::join!(gateway.get(&target), neighbour);
    reply.assert_error(504, "deadline");
}
