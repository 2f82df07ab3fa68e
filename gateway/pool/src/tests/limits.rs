//! Every limit is an error of one instance, and the pool goes on.

use wasmtime::{Config, Engine, Instance, MemoryType, Module, Store};

use super::{
    canary::{Canary, Visit},
    engine,
};
use crate::{error::Error, pool::Pool, settings::Settings};

const QUIET: Visit = Visit {
    grow: 0,
    stride: 4096,
    trap: false,
};

#[test]
fn a_full_pool_refuses_one_memory_more_until_one_is_returned() {
    let (engine, pool) = engine(Settings {
        max_memories: 2,
        ..Settings::default()
    });
    let canary = Canary::new(&engine, 1).unwrap();
    let first = canary.visit_and_stay(QUIET).unwrap();
    let second = canary.visit_and_stay(QUIET).unwrap();
    assert!(canary.visit(QUIET).is_err());
    assert_eq!(pool.metrics().refusals.memories_exhausted, 1);
    drop(first);
    assert_eq!(canary.visit(QUIET).unwrap(), 0);
    drop(second);
    assert_eq!(pool.metrics().memories.live, 0);
}

#[test]
fn an_idle_memory_of_another_size_makes_room_when_the_pool_is_full() {
    let (engine, pool) = engine(Settings {
        max_memories: 1,
        ..Settings::default()
    });
    for pages in [1, 2, 3, 1] {
        assert_eq!(
            Canary::new(&engine, pages).unwrap().visit(QUIET).unwrap(),
            0
        );
    }
    let memories = pool.metrics().memories;
    assert_eq!(
        (memories.live, memories.warm, memories.events.evicted),
        (0, 1, 3)
    );
}

#[test]
fn growth_stops_at_the_reservation() {
    let settings = Settings {
        reservation_bytes: 4 * 65_536,
        ..Settings::default()
    };
    let (engine, _pool) = engine(settings);
    let text = r#"(module (memory 1)
        (func (export "grow") (param i32) (result i32) (memory.grow (local.get 0))))"#;
    let module = Module::new(&engine, wat::parse_str(text).unwrap()).unwrap();
    let mut store = Store::new(&engine, ());
    let instance = Instance::new(&mut store, &module, &[]).unwrap();
    let grow = instance
        .get_typed_func::<u32, i32>(&mut store, "grow")
        .unwrap();
    assert_eq!(grow.call(&mut store, 3).unwrap(), 1);
    assert_eq!(grow.call(&mut store, 1).unwrap(), -1);
}

#[test]
fn a_memory_larger_than_a_slot_is_refused() {
    let settings = Settings {
        reservation_bytes: 4 * 65_536,
        ..Settings::default()
    };
    let (engine, pool) = engine(settings);
    assert!(Canary::new(&engine, 5).unwrap().visit(QUIET).is_err());
    assert_eq!(pool.metrics().refusals.too_large, 1);
    assert_eq!(Canary::new(&engine, 4).unwrap().visit(QUIET).unwrap(), 0);
}

#[test]
fn a_shared_memory_is_refused() {
    let pool = Pool::new(Settings::default()).unwrap();
    let memory = wasmtime::MemoryCreator::new_memory(
        &pool,
        MemoryType::shared(1, 1),
        65_536,
        Some(65_536),
        Some(65_536),
        0,
    );
    assert!(memory.is_err());
    assert_eq!(pool.metrics().refusals.shared, 1);
}

#[test]
fn an_engine_with_larger_reservations_than_the_pools_is_refused() {
    let pool = Pool::new(Settings {
        reservation_bytes: 1 << 20,
        ..Settings::default()
    })
    .unwrap();
    let mut config = Config::new();
    pool.attach(&mut config);
    config.memory_reservation(4 << 30);
    let engine = Engine::new(&config).unwrap();
    assert!(Canary::new(&engine, 1).unwrap().visit(QUIET).is_err());
    assert_eq!(pool.metrics().refusals.mismatch, 1);
}

#[test]
fn trimming_unmaps_what_was_idle_and_leaves_what_was_used() {
    let (engine, pool) = engine(Settings::default());
    let canary = Canary::new(&engine, 1).unwrap();
    let three: Vec<_> = (0..3)
        .map(|_| canary.visit_and_stay(QUIET).unwrap())
        .collect();
    drop(three);
    assert_eq!(pool.trim(), 0, "all three were in use since the start");
    canary.visit(QUIET).unwrap();
    assert_eq!(pool.trim(), 2);
    assert_eq!(pool.metrics().memories.warm, 1);
    assert_eq!(pool.trim(), 1);
    let memories = pool.metrics().memories;
    assert_eq!(
        (memories.live, memories.warm, memories.warm_resident_bytes),
        (0, 0, 0)
    );
    assert_eq!(canary.visit(QUIET).unwrap(), 0);
}

#[test]
fn a_worker_keeps_no_more_warm_memories_than_it_may() {
    let (engine, pool) = engine(Settings {
        max_warm_per_worker: 2,
        ..Settings::default()
    });
    let canary = Canary::new(&engine, 1).unwrap();
    drop(
        (0..5)
            .map(|_| canary.visit_and_stay(QUIET).unwrap())
            .collect::<Vec<_>>(),
    );
    let memories = pool.metrics().memories;
    assert_eq!(
        (memories.live, memories.warm, memories.events.released),
        (0, 2, 3)
    );
}

#[test]
fn warm_memories_keep_no_more_resident_than_the_budget() {
    let keep_resident_bytes = 256 << 10;
    let (engine, pool) = engine(Settings {
        keep_resident_bytes,
        ..Settings::default()
    });
    let canary = Canary::new(&engine, 20).unwrap();
    for grow in [0, 40, 30, 20, 10, 5, 0] {
        canary
            .visit(Visit {
                grow,
                stride: 8,
                trap: false,
            })
            .unwrap();
    }
    let memories = pool.metrics().memories;
    assert_eq!(memories.warm, 1);
    assert!(
        memories.warm_resident_bytes <= 2 * keep_resident_bytes,
        "{memories:?}"
    );
    assert_eq!(memories.events.over_budget, 7);
}

#[test]
fn settings_that_cannot_work_are_named() {
    let bad = [
        (
            "reservation_bytes",
            Settings {
                reservation_bytes: 1000,
                ..Settings::default()
            },
        ),
        (
            "guard_bytes",
            Settings {
                guard_bytes: 0,
                ..Settings::default()
            },
        ),
        (
            "max_memories",
            Settings {
                max_memories: 0,
                ..Settings::default()
            },
        ),
        (
            "max_stacks",
            Settings {
                max_stacks: 0,
                ..Settings::default()
            },
        ),
    ];
    for (field, settings) in bad {
        match Pool::new(settings).err() {
            Some(Error::Setting { name, .. }) => assert_eq!(name, field),
            other => panic!("{field} was accepted or blamed on something else: {other:?}"),
        }
    }
}

#[test]
fn a_pool_outlives_its_handle_as_long_as_a_memory_does() {
    let (engine, pool) = engine(Settings::default());
    let canary = Canary::new(&engine, 1).unwrap();
    let (store, _) = canary.visit_and_stay(QUIET).unwrap();
    drop((pool, canary, engine));
    drop(store);
}

#[test]
fn pages_left_where_several_guests_grew_to_do_not_add_up() {
    let keep_resident_bytes = 256 << 10;
    let (engine, pool) = engine(Settings {
        keep_resident_bytes,
        ..Settings::default()
    });
    let canary = Canary::new(&engine, 1).unwrap();
    for grow in [40, 35, 30, 25, 20, 15, 10] {
        canary
            .visit(Visit {
                grow,
                stride: 8,
                trap: false,
            })
            .unwrap();
        let resident = pool.metrics().memories.warm_resident_bytes;
        assert!(
            resident <= 2 * keep_resident_bytes,
            "{resident} after growing by {grow}"
        );
    }
    assert_eq!(pool.metrics().memories.warm, 1);
}
