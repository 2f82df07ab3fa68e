//! Components that are small enough to be written out: what is kept of a start-up, and what is refused.

use wasmtime::{
    Config, Store,
    component::{Component, Linker},
};

use super::*;

const LIMITS: SnapshotLimits = SnapshotLimits {
    memory: 1 << 20,
    time: Duration::from_millis(200),
};

fn engine() -> Engine {
    Engine::new(Config::new().epoch_interruption(true)).unwrap()
}

fn taken(text: &str) -> Result<Vec<u8>, NoSnapshot> {
    take(&wat::parse_str(text).unwrap(), &engine(), LIMITS)
}

/// A component with a module `$m` whose `init` is its start-up and whose `get` it exports.
fn component(module: &str) -> String {
    format!(
        r#"(component
            (core module $m {module})
            (core instance $m (instantiate $m))
            (func (export "wizer-initialize") (canon lift (core func $m "init")))
            (func (export "get") (result s32) (canon lift (core func $m "get"))))"#
    )
}

/// What each of two instances of a component answers to two calls of `get`.
fn answers(component: &[u8]) -> [[i32; 2]; 2] {
    let engine = engine();
    let component = Component::new(&engine, component).unwrap();
    [(); 2].map(|()| {
        let mut store = Store::new(&engine, ());
        store.set_epoch_deadline(1);
        let instance = Linker::new(&engine)
            .instantiate(&mut store, &component)
            .unwrap();
        let get = instance
            .get_typed_func::<(), (i32,)>(&mut store, "get")
            .unwrap();
        [(); 2].map(|()| get.call(&mut store, ()).unwrap().0)
    })
}

#[track_caller]
fn assert_refused(text: &str, why: Why, words: &str) {
    let error = taken(text).unwrap_err();
    assert_eq!(error.why, why, "{error}");
    assert!(error.what.contains(words), "{error}");
}

#[test]
fn memories_and_globals_are_as_the_start_up_left_them_in_every_instance() {
    let text = component(
        r#"(memory 1 4)
           (data (i32.const 8) "\07\00\00\00")
           (global $count (mut i32) (i32.const 0))
           (global $real (mut f64) (f64.const 0))
           (global $wide (mut i64) (i64.const 0))
           (global $vector (mut v128) (v128.const i64x2 0 0))
           (func (export "init")
             (drop (memory.grow (i32.const 1)))
             (i32.store (i32.const 8) (i32.add (i32.load (i32.const 8)) (i32.const 1)))
             (i32.store (i32.const 131068) (i32.const 100))
             (global.set $real (f64.const 1000))
             (global.set $wide (i64.const -20000))
             (global.set $vector (v128.const i32x4 0 300000 0 0))
             (global.set $count (i32.const 1000000)))
           (func (export "get") (result i32)
             (global.set $count (i32.add (global.get $count) (i32.const 10000000)))
             (i32.add (global.get $count)
               (i32.add (i32.load (i32.const 8))
                 (i32.add (i32.load (i32.const 131068))
                   (i32.add (i32.trunc_f64_s (global.get $real))
                     (i32.add (i32.wrap_i64 (global.get $wide))
                       (i32.add (i32x4.extract_lane 1 (global.get $vector)) (memory.size))))))))"#,
    );
    let first = 10_000_000 + 1_000_000 + 8 + 100 + 1000 - 20_000 + 300_000 + 2;
    assert_eq!(
        answers(&taken(&text).unwrap()),
        [[first, first + 10_000_000]; 2]
    );
}

#[test]
fn a_start_function_has_run_and_does_not_run_again() {
    let text = component(
        r#"(memory 1)
           (func $begin (i32.store (i32.const 0) (i32.add (i32.load (i32.const 0)) (i32.const 1))))
           (start $begin)
           (func (export "init") (i32.store (i32.const 4) (i32.load (i32.const 0))))
           (func (export "get") (result i32)
             (i32.add (i32.load (i32.const 0)) (i32.mul (i32.load (i32.const 4)) (i32.const 10))))"#,
    );
    assert_eq!(answers(&taken(&text).unwrap()), [[11; 2]; 2]);
}

#[test]
fn segments_keep_their_numbers_and_those_that_were_copied_are_empty() {
    let text = component(
        r#"(memory 1)
           (data (i32.const 0) "a")
           (data "\05\00\00\00")
           (func (export "init") (i32.store8 (i32.const 0) (i32.const 9)))
           (func (export "get") (result i32)
             (memory.init 0 (i32.const 0) (i32.const 0) (i32.const 0))
             (memory.init 1 (i32.const 100) (i32.const 0) (i32.const 4))
             (i32.add (i32.load8_u (i32.const 0)) (i32.load (i32.const 100))))"#,
    );
    assert_eq!(answers(&taken(&text).unwrap()), [[14; 2]; 2]);
}

#[test]
fn data_for_the_memory_of_another_module_is_not_copied_over_what_the_start_up_left() {
    let text = r#"(component
        (core module $a (memory (export "memory") 1))
        (core module $b
            (import "a" "memory" (memory 1))
            (import "a" "no" (global $no (mut i32)))
            (data (i32.const 0) "\01\00\00\00")
            (func (export "init")
              (global.set $no (i32.const 5))
              (i32.store (i32.const 0) (i32.const 7)))
            (func (export "get") (result i32) (i32.add (global.get $no) (i32.load (i32.const 0)))))
        (core module $c (global (export "no") (mut i32) (i32.const 0)))
        (core instance $a (instantiate $a))
        (core instance $c (instantiate $c))
        (core instance $with
            (export "memory" (memory $a "memory"))
            (export "no" (global $c "no")))
        (core instance $b (instantiate $b (with "a" (instance $with))))
        (func (export "wizer-initialize") (canon lift (core func $b "init")))
        (func (export "get") (result s32) (canon lift (core func $b "get"))))"#;
    assert_eq!(answers(&taken(text).unwrap()), [[12; 2]; 2]);
}

#[test]
fn a_memory_of_64_bits_and_two_memories_of_one_module_are_kept() {
    let text = component(
        r#"(memory i64 1)
           (memory $second 1)
           (func (export "init")
             (i32.store 0 (i64.const 65000) (i32.const 3))
             (i32.store $second (i32.const 60000) (i32.const 4)))
           (func (export "get") (result i32)
             (i32.mul (i32.load 0 (i64.const 65000)) (i32.load $second (i32.const 60000))))"#,
    );
    assert_eq!(answers(&taken(&text).unwrap()), [[12; 2]; 2]);
}

#[test]
fn an_import_that_the_start_up_calls_is_named() {
    let text = r#"(component
        (import "wasi:random/insecure-seed@0.2.6" (instance $seed
            (export "insecure-seed" (func (result u32)))))
        (core func $seed (canon lower (func $seed "insecure-seed")))
        (core module $m
            (import "host" "seed" (func $seed (result i32)))
            (func (export "init") (drop (call $seed))))
        (core instance $host (export "seed" (func $seed)))
        (core instance $m (instantiate $m (with "host" (instance $host))))
        (func (export "wizer-initialize") (canon lift (core func $m "init"))))"#;
    assert_refused(
        text,
        Why::Import,
        "`wasi:random/insecure-seed@0.2.6#insecure-seed`",
    );
}

#[test]
fn an_import_of_which_the_start_up_takes_no_notice_is_refused_all_the_same() {
    let text = r#"(component
        (import "wasi:cli/stderr@0.2.6" (instance $stderr
            (export "output-stream" (type (sub resource)))
            (export "get-stderr" (func (result u32)))))
        (core func $get (canon lower (func $stderr "get-stderr")))
        (core module $m
            (import "host" "get" (func $get (result i32)))
            (func (export "init") (drop (call $get))))
        (core instance $host (export "get" (func $get)))
        (core instance $m (instantiate $m (with "host" (instance $host))))
        (func (export "wizer-initialize") (canon lift (core func $m "init"))))"#;
    assert_refused(text, Why::Import, "`wasi:cli/stderr@0.2.6#get-stderr`");
}

#[test]
fn a_start_up_that_traps_loops_or_wants_too_much_memory_is_told_apart() {
    let get = r#"(memory 1) (func (export "get") (result i32) (i32.const 0))"#;
    let with = |init: &str| component(&format!(r#"{get} (func $deep (export "init") {init})"#));
    assert_refused(
        &with("unreachable"),
        Why::Trap,
        "in `deep`: wasm trap: wasm `unreachable`",
    );
    assert_refused(&with("(loop (br 0))"), Why::Time, "not over after 200ms");
    assert_refused(
        &with("(loop (br_if 0 (i32.ne (memory.grow (i32.const 1)) (i32.const -1)))) unreachable"),
        Why::Memory,
        "more than the 1048576 bytes",
    );
    assert_refused(&with("(call $deep)"), Why::Trap, "call stack exhausted");
}

#[test]
fn a_component_without_a_start_up_is_refused_with_what_it_exports() {
    let text = r#"(component
        (core module $m (func (export "run")))
        (core instance $m (instantiate $m))
        (func (export "run") (canon lift (core func $m "run"))))"#;
    assert_refused(
        text,
        Why::NoInitializer,
        "`wizer-initialize` that does the start-up; it exports run",
    );
}

#[test]
fn a_start_up_that_takes_or_returns_something_is_refused() {
    let text = r#"(component
        (core module $m (func (export "init") (result i32) (i32.const 1)))
        (core instance $m (instantiate $m))
        (func (export "wizer-initialize") (result u32) (canon lift (core func $m "init"))))"#;
    assert_refused(text, Why::NoInitializer, "takes or returns something");
}

#[test]
fn what_no_snapshot_can_keep_is_refused_by_its_name() {
    let get = r#"(func (export "init")) (func (export "get") (result i32) (i32.const 0))"#;
    for (more, words) in [
        (
            "(table 1 funcref) (func (table.set (i32.const 0) (ref.null func)))",
            "`table.set`",
        ),
        (
            "(table 1 funcref) (func (drop (table.grow (ref.null func) (i32.const 1))))",
            "`table.grow`",
        ),
        (
            r#"(memory 1) (data "a") (func (data.drop 0))"#,
            "`data.drop`",
        ),
        ("(memory 1 1 shared)", "shared by threads"),
        (
            "(global (mut funcref) (ref.null func))",
            "holds a reference",
        ),
    ] {
        assert_refused(
            &component(&format!("{get} {more}")),
            Why::Unsupported,
            words,
        );
    }
    let go = component(&format!("{get} (@custom \"go:buildid\" \"some id\")"));
    assert_refused(&go, Why::Go, "made by Go");
    let twice = r#"(component
        (core module $m (func (export "init")))
        (core instance $one (instantiate $m))
        (core instance $two (instantiate $m))
        (func (export "wizer-initialize") (canon lift (core func $one "init"))))"#;
    assert_refused(twice, Why::Unsupported, "more than once");
    let nested = r#"(component
        (component (core module))
        (core module $m (func (export "init")))
        (core instance $m (instantiate $m))
        (func (export "wizer-initialize") (canon lift (core func $m "init"))))"#;
    assert_refused(nested, Why::Unsupported, "several components");
}

#[test]
fn a_component_that_ends_too_early_is_an_error_and_no_panic() {
    let whole = wat::parse_str(component(
        r#"(memory 1) (data (i32.const 0) "a") (global (mut i32) (i32.const 1))
           (func (export "init")) (func (export "get") (result i32) (i32.const 0))"#,
    ))
    .unwrap();
    for end in 0..whole.len() {
        let _ = take(&whole[..end], &engine(), LIMITS);
    }
}

#[test]
fn a_failure_is_the_same_behind_the_border_of_a_process() {
    for why in Why::ALL {
        let error = NoSnapshot {
            why,
            what: "a: b".to_owned(),
        };
        let parsed = NoSnapshot::parse(&error.to_string()).unwrap();
        assert_eq!((parsed.why, parsed.what), (error.why, error.what));
    }
    assert!(NoSnapshot::parse("thread panicked: no").is_none());
}
