//! Components that are hostile before they are run: each is refused or taken in bounded time and memory.

use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use tokio::time::sleep;

/// The longest that a look at a component may take.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// More bytes than anybody wants to be told of one component.
const MAX_SAID: usize = 20_000;

/// A component, or what says that it is one.
#[derive(Clone, Debug)]
pub struct Shape {
    /// A word for it.
    pub name: &'static str,
    /// What it is, in a few words.
    pub does: &'static str,
    /// Why it is not refused yet.
    pub open: Option<&'static str>,
    bytes: Vec<u8>,
}

/// What became of a shape.
#[derive(Clone, Debug)]
pub struct Look {
    /// How the gateway ended: 0 for a component that may be served.
    pub code: Option<i32>,
    /// The time until the gateway ended.
    pub took: Duration,
    /// Resident bytes at its height.
    pub peak: u64,
    /// All that it said.
    pub said: String,
}

impl Look {
    /// Whether it was taken or refused in time, without a panic, a signal, or memory or words without bounds.
    #[must_use]
    pub fn is_right(&self) -> bool {
        matches!(self.code, Some(0..=78))
            && !self.said.contains("panicked")
            && self.peak < 512 << 20
            && self.said.len() < MAX_SAID
    }
}

/// Has the gateway look at a shape with `wasmgate check`.
///
/// # Errors
/// When the gateway does not run.
pub async fn look(gateway: &Path, shape: &Shape) -> Result<Look> {
    let folder = tempfile::tempdir()?;
    fs::write(folder.path().join("shape.wasm"), &shape.bytes)?;
    let toml = "[server]\nlisten = \"127.0.0.1:0\"\nadmin = \"127.0.0.1:0\"\n[package.shape]\nsource = \"shape.wasm\"\n\
                [[route]]\npath = \"/shape\"\npackage = \"shape\"\n";
    fs::write(folder.path().join("wasmgate.toml"), toml)?;
    let output = fs::File::create(folder.path().join("output"))?;
    let start = Instant::now();
    let mut child = Command::new(gateway)
        .arg("check")
        .current_dir(folder.path())
        .env_remove("RUST_LOG")
        .stdin(Stdio::null())
        .stdout(output.try_clone()?)
        .stderr(output)
        .spawn()
        .with_context(|| format!("{} does not run", gateway.display()))?;
    let mut peak = 0;
    let code = loop {
        if let Some(status) = child.try_wait()? {
            break status.code();
        }
        if start.elapsed() > PATIENCE {
            child.kill()?;
            child.wait()?;
            break None;
        }
        let status = format!("/proc/{}/status", child.id());
        let status = fs::read_to_string(status).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kilobytes = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
        peak = peak.max(kilobytes.unwrap_or_default() * 1024);
        sleep(Duration::from_millis(5)).await;
    };
    let said = fs::read(folder.path().join("output")).unwrap_or_default();
    Ok(Look {
        code,
        took: start.elapsed(),
        peak,
        said: String::from_utf8_lossy(&said).trim().to_owned(),
    })
}

/// A component that can be served: more of it, and the parts and the body of its handler's module.
fn served(more: &str, parts: &str, body: &str) -> String {
    format!(
        r#"(component
          {more}
          (import "wasi:http/types@0.2.0" (instance $types
            (export "incoming-request" (type (sub resource)))
            (export "response-outparam" (type (sub resource)))))
          (alias export $types "incoming-request" (type $request))
          (alias export $types "response-outparam" (type $outparam))
          (core module $code {parts} (func (export "handle") (param i32 i32) {body}))
          (core instance $code (instantiate $code))
          (func $handle (param "request" (own $request)) (param "response-out" (own $outparam))
            (canon lift (core func $code "handle")))
          (instance $handler (export "handle" (func $handle)))
          (export "wasi:http/incoming-handler@0.2.0" (instance $handler)))"#
    )
}

/// A component of two, one of which passes so many bytes of text to the other, in another encoding, for ever.
fn between_components(bytes: usize) -> String {
    let pages = |bytes: usize| (bytes >> 16) + 2;
    let (from, to) = (pages(bytes), pages(2 * bytes));
    let types =
        r#"(export "incoming-request" (type (sub resource))) (export "response-outparam" (type (sub resource)))"#;
    format!(
        r#"(component
          (import "wasi:http/types@0.2.0" (instance $types {types}))
          (component $taker
            (core module $code
              (memory (export "memory") {to})
              (func (export "realloc") (param i32 i32 i32 i32) (result i32) (i32.const 8))
              (func (export "take") (param i32 i32)))
            (core instance $code (instantiate $code))
            (alias core export $code "memory" (core memory $memory))
            (alias core export $code "realloc" (core func $realloc))
            (func (export "take") (param "text" string) (canon lift (core func $code "take")
              (memory $memory) (realloc $realloc) string-encoding=utf16)))
          (component $giver
            (import "types" (instance $types {types}))
            (import "take" (func $take (param "text" string)))
            (alias export $types "incoming-request" (type $request))
            (alias export $types "response-outparam" (type $outparam))
            (core module $heap (memory (export "memory") {from}))
            (core instance $heap (instantiate $heap))
            (alias core export $heap "memory" (core memory $memory))
            (core func $take (canon lower (func $take) (memory $memory)))
            (core module $code
              (import "host" "take" (func $take (param i32 i32)))
              (func (export "handle") (param i32 i32) (loop (call $take (i32.const 0) (i32.const {bytes})) (br 0))))
            (core instance $code (instantiate $code (with "host" (instance (export "take" (func $take))))))
            (func $handle (param "request" (own $request)) (param "response-out" (own $outparam))
              (canon lift (core func $code "handle")))
            (instance $handler (export "handle" (func $handle)))
            (export "handler" (instance $handler)))
          (instance $taker (instantiate $taker))
          (instance $giver (instantiate $giver (with "types" (instance $types)) (with "take" (func $taker "take"))))
          (export "wasi:http/incoming-handler@0.2.0" (instance $giver "handler")))"#
    )
}

/// What is taken and does its harm at the first request, as text.
#[rustfmt::skip]
fn at_work() -> Vec<(&'static str, &'static str, String)> {
    vec![
        ("traps-at-start", "its start function traps", served("", "(func $f unreachable) (start $f)", "")),
        ("spins-at-start", "its start function spins", served("", "(func $f (loop (br 0))) (start $f)", "")),
        ("grows-at-start", "its start function takes all memory",
            served("", "(memory 1) (func $f (loop (br_if 0 (i32.ne (memory.grow (i32.const 1)) (i32.const -1))))) (start $f)", "")),
        ("fills-a-table", "it grows a table for ever",
            served("", "(table 1 funcref)",
                "(loop (br_if 0 (i32.ne (table.grow (ref.null func) (i32.const 1000)) (i32.const -1))))")),
        ("moves-much", "it moves 26 MB to and fro for ever, a call each time",
            served("", "(memory 400)",
                "(loop (memory.copy (i32.const 1) (i32.const 0) (i32.const 26000000))
                    (memory.copy (i32.const 0) (i32.const 1) (i32.const 26000000)) (br 0))")),
        ("fills-much", "it fills 26 MB for ever, a call each time",
            served("", "(memory 400)",
                "(loop (memory.fill (i32.const 0) (i32.const 1) (i32.const 26000000)) (br 0))")),
        ("fills-and-goes", "it fills 26 MB by a call and goes",
            served("", "(memory 400)", "(memory.fill (i32.const 0) (i32.const 1) (i32.const 26000000))")),
        ("fills-a-table-often", "it fills a table of a million for ever, a call each time",
            served("", "(table 1000000 funcref)",
                "(loop (table.fill (i32.const 0) (ref.null func) (i32.const 1000000)) (br 0))")),
        ("copies-an-array", "it copies an array of 11 MB for ever, a call each time",
            served("", "(type $bytes (array (mut i8)))
                (global $all (mut (ref null $bytes)) (ref.null $bytes))",
                "(global.set $all (array.new_default $bytes (i32.const 11000001)))
                (loop (array.copy $bytes $bytes (global.get $all) (i32.const 1) (global.get $all) (i32.const 0)
                    (i32.const 11000000)) (br 0))")),
        ("fills-an-array", "it fills an array of 11 MB for ever, a call each time",
            served("", "(type $bytes (array (mut i8)))
                (global $all (mut (ref null $bytes)) (ref.null $bytes))",
                "(global.set $all (array.new_default $bytes (i32.const 11000000)))
                (loop (array.fill $bytes (global.get $all) (i32.const 0) (i32.const 1) (i32.const 11000000)) (br 0))")),
        ("allocates-a-list", "it allocates a list of as many nodes as there is memory for",
            served("", "(type $node (struct (field (ref null $node))))
                (global $list (mut (ref null $node)) (ref.null $node))",
                "(loop (global.set $list (struct.new $node (global.get $list))) (br 0))")),
        ("allocates-garbage", "it allocates lists of 20,000 nodes and drops them for ever",
            served("", "(type $node (struct (field (ref null $node))))
                (global $list (mut (ref null $node)) (ref.null $node))",
                "(local $at i32) (loop $lists
                    (global.set $list (ref.null $node)) (local.set $at (i32.const 20000))
                    (loop $nodes (global.set $list (struct.new $node (global.get $list)))
                        (br_if $nodes (local.tee $at (i32.sub (local.get $at) (i32.const 1)))))
                    (br $lists))")),
        ("passes-text", "its components pass a megabyte of text to each other, in two encodings, for ever",
            between_components(1_000_000)),
        ("large-table", "it has a table of three million", served("", "(table 3000000 funcref)", "")),
        ("many-globals", "it has 50,000 globals", served("", &"(global (mut i64) (i64.const 1))".repeat(50_000), "")),
        ("recurses-in-wasm", "its handler calls itself",
            served("", "(func $f (param i64 i64 i64 i64) (call $f (local.get 1) (local.get 0) (local.get 3) (local.get 2)))",
                "(call $f (i64.const 1) (i64.const 2) (i64.const 3) (i64.const 4))")),
    ]
}

/// Components that are taken and do their harm at the first request.
///
/// # Errors
/// When a shape is no text of WebAssembly.
pub fn hostile_at_work() -> Result<Vec<(&'static str, &'static str, Vec<u8>)>> {
    let all = at_work().into_iter();
    all.map(|(name, does, text)| Ok((name, does, wat::parse_str(text).context(name)?)))
        .collect()
}

/// Every shape.
///
/// # Errors
/// When a shape is no text of WebAssembly.
#[rustfmt::skip]
pub fn all() -> Result<Vec<Shape>> {
    let memories = |count: usize| {
        let module = format!("(core module $m (memory 0) {})", "(memory 0)".repeat(99));
        served(&format!("{module} {}", "(core instance (instantiate $m))".repeat(count)), "", "")
    };
    let line = "local.get 0 i32.const 7 i32.mul local.set 0 ".repeat(20);
    let functions = format!("(func (param i32) (result i32) {line} local.get 0)").repeat(3000);
    let branches = format!("(func (param i32) {} (br_table {} (local.get 0)) {})",
        "block ".repeat(500), (0..500).map(|n| n.to_string() + " ").collect::<String>().repeat(40), "end ".repeat(500));
    let locals = format!("(func {} )", "(local i64)".repeat(40_000));
    let types = (0..20_000).map(|n| format!("(type (func (param i32) (result i{})))", 32 << (n % 2))).collect::<String>();
    let instances = "(core module $m) ".to_owned() + &"(core instance (instantiate $m))".repeat(2000);
    let each = |count: usize, text: &dyn Fn(usize) -> String| (1..=count).map(text).collect::<String>();
    let towers = |of: &dyn Fn(usize) -> String| format!("(type $t0 u64) {}", each(60, of));
    let tuples = towers(&|n| format!("(type $t{n} (tuple $t{0} $t{0}))", n - 1));
    let lists = towers(&|n| format!("(type $t{n} (list $t{}))", n - 1));
    let exports = each(20_000, &|n| format!("(export \"of-a-long-name-that-is-number-n{n}\" (type $t0))"));
    let imports = each(20_000, &|n| format!("(import \"number-n{n}\" (func))"));
    let aliases = "(core module $n (func (export \"f\"))) (core instance $n (instantiate $n))".to_owned()
        + &"(alias core export $n \"f\" (core func))".repeat(50_000);
    let whole = wat::parse_str(served("", "", ""))?;
    let cut = whole.get(..whole.len() / 2).unwrap_or_default().to_vec();
    let mut all = vec![
        ("nothing", "an empty file", Vec::new()),
        ("garbage", "a megabyte of bytes of all kinds", (0..1 << 20).map(|n| (n * 7) as u8).collect()),
        ("cut", "half a component", cut),
        ("magic", "the first bytes of a component, and zeros", [b"\0asm\x0d\0\x01\0".as_slice(), &[0; 4096]].concat()),
        ("long-section", "a section of four gigabytes", b"\0asm\x0d\0\x01\0\x01\xff\xff\xff\xff\x0f".to_vec()),
        ("nested", "900 components, one in the other", nested(900)),
    ];
    for (name, does, text) in [
        ("core-module", "a module that is no component", "(module (memory 1))".to_owned()),
        ("no-handler", "a component that answers nothing", "(component)".to_owned()),
        ("unknown-import", "imports what nobody has", served("(import \"a:b/c@1.0.0\" (instance (export \"f\" (func))))", "", "")),
        ("memories", "6,000 empty memories", memories(60)),
        ("much-memory", "a memory of four gigabytes at once", served("", "(memory 65536)", "")),
        ("instances", "2,000 core instances", served(&instances, "", "")),
        ("functions", "3,000 functions of 80 steps", served("", &functions, "")),
        ("branches", "a jump to 20,000 places", served("", &branches, "")),
        ("locals", "a function of 40,000 locals", served("", &locals, "")),
        ("types", "20,000 types", served("", &types, "")),
        ("tuples", "a type of 2^60 numbers", served(&tuples, "", "")),
        ("lists", "lists within each other, 60 deep", served(&lists, "", "")),
        ("exports", "20,000 exports", served(&format!("(type $t0 u64) {exports}"), "", "")),
        ("imports", "20,000 imports", served(&imports, "", "")),
        ("aliases", "a function by 50,000 names", served(&aliases, "", "")),
    ].into_iter().chain(at_work()) {
        all.push((name, does, wat::parse_str(text).context(name)?));
    }
    Ok(all.into_iter().map(|(name, does, bytes)| Shape { name, does, open: None, bytes }).collect())
}

/// A component in a component, and so on.
fn nested(depth: usize) -> Vec<u8> {
    // The preamble of a component, and the section of one that is in it.
    let (preamble, section) = (b"\0asm\x0d\0\x01\0", 4);
    let mut bytes = preamble.to_vec();
    for _ in 0..depth {
        let mut outer = preamble.to_vec();
        outer.push(section);
        let mut length = bytes.len();
        while length >= 0x80 {
            outer.push(0x80 | (length & 0x7f) as u8);
            length >>= 7;
        }
        outer.push(length as u8);
        outer.extend(bytes);
        bytes = outer;
    }
    bytes
}
