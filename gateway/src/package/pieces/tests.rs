//! What is done in pieces is what is done at once.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use wasmtime::{Config, Engine, Instance, Module, Store, UpdateDeadline};

use super::*;

const PAGE: u32 = 1 << 16;

/// A module that moves its first 64 pages, and tells what became of them by a sum over what and where they are.
const MEMORIES: &str = r#"(module
    (import "env" "other" (memory $other 64))
    (memory $own 64)
    (memory $wide i64 64)
    (data $data "0123456789")
    (func $step (param i64 i32) (result i64)
        (i64.add (i64.mul (local.get 0) (i64.const 31)) (i64.extend_i32_u (local.get 1))))
    (func (export "begin") (local i32)
        (loop
            (i32.store $own (local.get 0) (i32.mul (local.get 0) (i32.const 0x9E3779B9)))
            (i32.store $other (local.get 0) (i32.mul (local.get 0) (i32.const 0x85EBCA6B)))
            (local.tee 0 (i32.add (local.get 0) (i32.const 4)))
            (br_if 0 (i32.lt_u (i32.const 0x400000)))))
    (func (export "sum") (result i64) (local i32 i64)
        (loop
            (local.set 1 (call $step (local.get 1) (i32.load $own (local.get 0))))
            (local.set 1 (call $step (local.get 1) (i32.load $other (local.get 0))))
            (local.set 1 (call $step (local.get 1) (i32.load $wide (i64.extend_i32_u (local.get 0)))))
            (local.tee 0 (i32.add (local.get 0) (i32.const 4)))
            (br_if 0 (i32.lt_u (i32.const 0x400000))))
        (local.get 1))
    (func (export "fill") (param i32 i32 i32)
        (memory.fill $own (local.get 0) (local.get 1) (local.get 2)))
    (func (export "fill_wide") (param i32 i32 i32)
        (memory.fill $wide (i64.extend_i32_s (local.get 0)) (local.get 1) (i64.extend_i32_s (local.get 2))))
    (func (export "copy") (param i32 i32 i32)
        (memory.copy $own $own (local.get 0) (local.get 1) (local.get 2)))
    (func (export "copy_from_other") (param i32 i32 i32)
        (memory.copy $own $other (local.get 0) (local.get 1) (local.get 2)))
    (func (export "copy_to_wide") (param i32 i32 i32)
        (memory.copy $wide $own (i64.extend_i32_s (local.get 0)) (local.get 1) (local.get 2)))
    (func (export "copy_wide") (param i32 i32 i32)
        (memory.copy $wide $wide (i64.extend_i32_s (local.get 0)) (i64.extend_i32_s (local.get 1))
            (i64.extend_i32_s (local.get 2))))
    (func (export "init") (param i32 i32 i32)
        (memory.init $own $data (local.get 0) (local.get 1) (local.get 2)))
    (func (export "short") (param i32 i32 i32)
        (memory.copy $own $own (local.get 0) (local.get 1) (i32.const 100))))"#;

const TABLES: &str = r#"(module
    (type $f (func))
    (table $own 40000 funcref)
    (table $typed 40000 (ref null $f))
    (elem $elements func $a $b)
    (elem declare func $a $b)
    (func $a) (func $b)
    (func (export "begin") (local i32)
        (loop
            (if (i32.eqz (i32.rem_u (local.get 0) (i32.const 3)))
                (then (table.set $own (local.get 0) (ref.func $a))))
            (local.tee 0 (i32.add (local.get 0) (i32.const 1)))
            (br_if 0 (i32.lt_u (i32.const 40000)))))
    (func (export "sum") (result i64) (local i32 i64)
        (loop
            (local.set 1 (i64.add (i64.mul (local.get 1) (i64.const 31)) (i64.extend_i32_u (i32.add
                (ref.is_null (table.get $own (local.get 0)))
                (i32.mul (i32.const 2) (ref.is_null (table.get $typed (local.get 0))))))))
            (local.tee 0 (i32.add (local.get 0) (i32.const 1)))
            (br_if 0 (i32.lt_u (i32.const 40000))))
        (local.get 1))
    (func (export "fill") (param i32 i32 i32)
        (table.fill $own (local.get 0) (ref.func $b) (local.get 2)))
    (func (export "fill_typed") (param i32 i32 i32)
        (table.fill $typed (local.get 0) (ref.func $b) (local.get 2)))
    (func (export "copy") (param i32 i32 i32)
        (table.copy $own $own (local.get 0) (local.get 1) (local.get 2)))
    (func (export "copy_from_typed") (param i32 i32 i32)
        (table.copy $own $typed (local.get 0) (local.get 1) (local.get 2)))
    (func (export "init") (param i32 i32 i32)
        (table.init $own $elements (local.get 0) (local.get 1) (local.get 2))))"#;

/// What becomes of a module's places: a sum of all that is in them, and whether there was a trap.
fn outcome(module: &Module, what: &str, (to, second, length): (u32, u32, u32)) -> (bool, i64) {
    let mut store = Store::new(module.engine(), ());
    let imports: Vec<_> = module
        .imports()
        .map(|_| {
            wasmtime::Memory::new(&mut store, wasmtime::MemoryType::new(64, None))
                .unwrap()
                .into()
        })
        .collect();
    let instance = Instance::new(&mut store, module, &imports).unwrap();
    let call = |store: &mut Store<()>, name: &str| instance.get_typed_func::<(), ()>(store, name).unwrap();
    call(&mut store, "begin").call(&mut store, ()).unwrap();
    let what = instance
        .get_typed_func::<(i32, i32, i32), ()>(&mut store, what)
        .unwrap();
    let arguments = [to, second, length].map(u32::cast_signed);
    let has_trapped = what.call(&mut store, arguments.into()).is_err();
    let sum = instance
        .get_typed_func::<(), i64>(&mut store, "sum")
        .unwrap();
    (has_trapped, sum.call(&mut store, ()).unwrap())
}

fn in_both_ways(text: &str, of: &[&str], cases: &[(u32, u32, u32)]) {
    let mut config = Config::new();
    config.wasm_memory64(true).wasm_multi_memory(true);
    let engine = Engine::new(&config).unwrap();
    let bytes = wat::parse_str(text).unwrap();
    let pieces = module_in_pieces(&bytes).unwrap().unwrap();
    let [at_once, in_pieces] = [&bytes, &pieces].map(|bytes| Module::new(&engine, bytes).unwrap());
    for what in of {
        for case in cases {
            let expected = outcome(&at_once, what, *case);
            assert_eq!(
                outcome(&in_pieces, what, *case),
                expected,
                "{what} {case:?}"
            );
        }
    }
}

#[test]
fn memories_are_filled_and_copied_as_they_are_at_once_and_nothing_is_written_by_what_traps() {
    let end = 64 * PAGE;
    let of = [
        "fill",
        "fill_wide",
        "copy",
        "copy_from_other",
        "copy_to_wide",
        "copy_wide",
        "init",
        "short",
    ];
    let cases = [
        (0, 0, 0),
        (7, 3, 1000),
        (0, 9, 2 * PAGE),
        (0, 9, 2 * PAGE + 1),
        // Over each other in both directions, and by less than a piece.
        (1, 0, 20 * PAGE + 5),
        (0, 1, 20 * PAGE + 5),
        (5 * PAGE + 3, 2 * PAGE, 31 * PAGE),
        (2 * PAGE, 5 * PAGE + 3, 31 * PAGE),
        (8 * PAGE, 8 * PAGE, 40 * PAGE),
        // To the end, and beyond it.
        (0, 0, end),
        (end - 3 * PAGE, 0, 3 * PAGE),
        (end - 3 * PAGE, 0, 3 * PAGE + 1),
        (0, end - 3 * PAGE, 3 * PAGE + 1),
        (end, 0, 0),
        (end + 1, 0, 0),
        // Numbers that wrap.
        (0xFFFF_0000, 0, 4 * PAGE),
        (0, 0xFFFF_0000, 4 * PAGE),
        (4 * PAGE, 0, 0xFFFF_FFFF),
        (0xFFFE_0000, 0, 2 * PAGE),
    ];
    in_both_ways(MEMORIES, &of, &cases);
}

#[test]
fn tables_are_too() {
    let of = ["fill", "fill_typed", "copy", "copy_from_typed", "init"];
    let cases = [
        (0, 0, 2),
        (1, 0, 39_999),
        (0, 1, 39_999),
        (10_000, 3, 20_000),
        (0, 0, 40_000),
        (0, 0, 40_001),
        (1, 0, 40_000),
        (0xFFFF_FFF0, 0, 9_000),
    ];
    in_both_ways(TABLES, &of, &cases);
}

#[test]
fn a_guest_can_be_interrupted_while_it_fills_its_memory() {
    let mut config = Config::new();
    config.epoch_interruption(true);
    let engine = Engine::new(&config).unwrap();
    let bytes = wat::parse_str(
        r#"(module (memory 1000)
            (func (export "fill") (param i32) (memory.fill (i32.const 0) (i32.const 1) (local.get 0))))"#,
    )
    .unwrap();
    let interrupted = |bytes: &[u8]| {
        let module = Module::new(&engine, bytes).unwrap();
        let times = Arc::new(AtomicUsize::new(0));
        let mut store = Store::new(&engine, Arc::clone(&times));
        store.set_epoch_deadline(0);
        store.epoch_deadline_callback(|store| {
            store.data().fetch_add(1, Ordering::Relaxed);
            // Due again at once.
            Ok(UpdateDeadline::Continue(0))
        });
        let instance = Instance::new(&mut store, &module, &[]).unwrap();
        let fill = instance
            .get_typed_func::<i32, ()>(&mut store, "fill")
            .unwrap();
        fill.call(&mut store, 60_000_000).unwrap();
        times.load(Ordering::Relaxed)
    };
    let pieces = module_in_pieces(&bytes).unwrap().unwrap();
    assert!(interrupted(&bytes) < 10);
    assert!(interrupted(&pieces) >= 60_000_000 >> 17);
}

#[test]
fn what_is_short_or_not_there_stays_as_it_is_and_modules_are_found_however_deep() {
    let same = r#"(module (memory 1)
        (func (export "a") (i64.const 0xFCFCFCFC) (drop)
            (memory.fill (i32.const 0) (i32.const 1) (i32.const 131072))))"#;
    assert!(
        module_in_pieces(&wat::parse_str(same).unwrap())
            .unwrap()
            .is_none()
    );
    let deep = wat::parse_str(
        r#"(component (component (component (core module
            (memory 1)
            (func (param i32) (memory.fill (i32.const 0) (i32.const 1) (local.get 0)))))))"#,
    )
    .unwrap();
    let changed = in_pieces(&deep);
    assert_ne!(changed, deep);
    wasmparser::Validator::new_with_features(wasmparser::WasmFeatures::all())
        .validate_all(&changed)
        .unwrap();
    assert!(matches!(in_pieces(b"no component"), Cow::Borrowed(_)));
}
