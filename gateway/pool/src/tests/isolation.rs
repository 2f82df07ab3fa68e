//! No instance sees a byte of an earlier one.

use std::sync::mpsc;

use wasmtime::{Engine, Instance, Module, Store};

use super::{
    canary::{Canary, Visit},
    engine, engine_on, methods,
};
use crate::{
    pool::Pool,
    selftest::{self, ResetMethod},
    settings::Settings,
};

/// Sizes in pages of 64 KiB: none, one, a few, and more than most budgets.
const SIZES: [u32; 4] = [0, 1, 3, 20];

/// Bytes kept: nothing, one page, part of the smallest memory, everything.
const BUDGETS: [usize; 4] = [0, 4096, 40_000, 1 << 20];

/// Words of images: a few of a page, some pages and part of one, and a whole memory.
const IMAGES: [(u32, u32); 3] = [(1, 3), (3, 10_000), (20, 20 * 8192)];

fn canaries(engine: &Engine) -> Vec<Canary> {
    let plain = SIZES
        .iter()
        .map(|pages| Canary::new(engine, *pages).unwrap());
    let imaged = IMAGES
        .iter()
        .map(|(pages, words)| Canary::with_image(engine, *pages, *words).unwrap());
    plain.chain(imaged).collect()
}

/// Sparse, dense, growing and trapping visits in turn.
fn nth_visit(round: usize) -> Visit {
    Visit {
        grow: [0, 2, 0, 17][round % 4],
        stride: [8, 4096, 40_960, 65_536, 1000][round % 5] & !7,
        trap: round.is_multiple_of(3),
    }
}

#[test]
fn every_method_and_budget_leaves_nothing_behind() {
    for reset_method in methods() {
        for keep_resident_bytes in BUDGETS {
            let settings = Settings {
                keep_resident_bytes,
                reset_method,
                ..Settings::default()
            };
            let (engine, pool) = engine(settings);
            assert_eq!(pool.metrics().reset_method, reset_method);
            let canaries = canaries(&engine);
            for round in 0..70 {
                let canary = &canaries[round % canaries.len()];
                let found = canary.visit(nth_visit(round)).unwrap();
                assert_eq!(
                    found, 0,
                    "{reset_method:?}, keeping {keep_resident_bytes}, round {round}"
                );
            }
            let memories = pool.metrics().memories;
            assert_eq!(
                (memories.live, memories.warm),
                (0, SIZES.len() + IMAGES.len())
            );
            assert_eq!(memories.events.fallbacks.total(), 0);
            assert_eq!(memories.events.resets, 70);
        }
    }
}

#[test]
fn the_canary_catches_a_pool_that_does_not_reset() {
    let mut choice = selftest::choose(ResetMethod::PagemapScan, 1 << 20).unwrap();
    choice.reset.switched_off = true;
    let (engine, _pool) = engine_on(Pool::with_choice(Settings::default(), choice));
    let canary = Canary::new(&engine, 3).unwrap();
    let visit = Visit {
        grow: 0,
        stride: 4096,
        trap: false,
    };
    assert_eq!(canary.visit(visit).unwrap(), 0);
    assert_eq!(canary.visit(visit).unwrap(), 48);
}

#[test]
fn memory_returned_on_another_thread_is_clean_when_it_comes_back() {
    let settings = Settings {
        keep_resident_bytes: 40_000,
        ..Settings::default()
    };
    let (engine, pool) = engine(settings);
    let (send, receive) = mpsc::channel::<Store<()>>();
    std::thread::scope(|scope| {
        scope.spawn(move || receive.into_iter().for_each(drop));
        for worker in 0..4_usize {
            let (engine, send) = (&engine, send.clone());
            scope.spawn(move || {
                let canaries = canaries(engine);
                for round in 0..40 {
                    let canary = &canaries[(round + worker) % canaries.len()];
                    let (store, found) = canary.visit_and_stay(nth_visit(round)).unwrap();
                    assert_eq!(found, 0, "worker {worker}, round {round}");
                    if round.is_multiple_of(2) {
                        send.send(store).unwrap();
                    }
                }
            });
        }
        drop(send);
    });
    let memories = pool.metrics().memories;
    assert_eq!(memories.live, 0);
    assert_eq!(memories.events.resets, 160);
}

#[test]
fn what_a_guest_grew_into_is_out_of_reach_for_the_next() {
    let (engine, pool) = engine(Settings::default());
    let canary = Canary::new(&engine, 1).unwrap();
    canary
        .visit(Visit {
            grow: 5,
            stride: 8,
            trap: false,
        })
        .unwrap();
    let reader = r#"(module (memory 1) (func (export "read") (drop (i32.load (i32.const 65536)))))"#;
    let module = Module::new(&engine, wat::parse_str(reader).unwrap()).unwrap();
    let mut store = Store::new(&engine, ());
    let instance = Instance::new(&mut store, &module, &[]).unwrap();
    let read = instance
        .get_typed_func::<(), ()>(&mut store, "read")
        .unwrap();
    let trap = read.call(&mut store, ()).unwrap_err();
    assert_eq!(
        trap.downcast_ref(),
        Some(&wasmtime::Trap::MemoryOutOfBounds)
    );
    let events = pool.metrics().memories.events;
    assert_eq!((events.created, events.reused, events.shrunk), (1, 1, 1));
}

#[test]
fn heaps_of_collected_objects_come_from_the_pool_and_are_clean() {
    let (engine, pool) = engine(Settings::default());
    let text = r#"(module
      (type $cell (struct (field (mut i64))))
      (func (export "run") (result i64)
        (struct.get $cell 0 (struct.new_default $cell))
        (drop (struct.new $cell (i64.const -1)))))"#;
    let module = Module::new(&engine, wat::parse_str(text).unwrap()).unwrap();
    for _ in 0..10 {
        let mut store = Store::new(&engine, ());
        let instance = Instance::new(&mut store, &module, &[]).unwrap();
        let run = instance
            .get_typed_func::<(), i64>(&mut store, "run")
            .unwrap();
        assert_eq!(run.call(&mut store, ()).unwrap(), 0);
    }
    let memories = pool.metrics().memories;
    assert_eq!(
        (
            memories.live,
            memories.events.created,
            memories.events.reused
        ),
        (0, 1, 9)
    );
}
