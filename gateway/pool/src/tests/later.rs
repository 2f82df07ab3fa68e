//! Large memories, which another thread makes clean.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
        mpsc,
    },
    thread,
    time::{Duration, Instant},
};

use rustix::param::page_size;

use super::{engine, methods};
use crate::{
    later::unfinished,
    pool::Pool,
    region::Region,
    reset::{AT_ONCE, Begun, Finder, PageMap, Reset},
    settings::Settings,
    slots::{Contents, Key},
};

const LARGE: Key = Key {
    bytes: 2 * AT_ONCE + (64 << 10),
    contents: Contents::Zeros,
};

fn soil(pool: &Pool, key: Key) {
    let mut lease = pool.memories().take(key).unwrap();
    assert!(lease.region_mut().is_zero());
    lease.region_mut().fill(0..key.bytes, 7).unwrap();
}

/// Waits until nothing is in use any more.
fn until_clean(pool: &Pool) {
    let patience = Instant::now() + Duration::from_secs(60);
    while pool.metrics().memories.live > 0 {
        assert!(Instant::now() < patience, "it is never made clean");
        thread::yield_now();
    }
}

/// Counts itself when it goes.
struct Goes(Arc<AtomicUsize>);

impl Drop for Goes {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

#[test]
fn a_large_memory_is_made_clean_by_another_thread_by_every_method() {
    for method in methods() {
        let pool = Pool::new(Settings {
            reset_method: method,
            ..Settings::default()
        })
        .unwrap();
        for round in 1..=3 {
            soil(&pool, LARGE);
            assert!(unfinished().is_some(), "{method:?}");
            until_clean(&pool);
            let memories = pool.metrics().memories;
            assert_eq!(
                (memories.warm, memories.events.later, memories.events.resets),
                (1, round, round),
                "{method:?}"
            );
        }
        assert_eq!(pool.metrics().memories.events.created, 1);
    }
}

#[test]
fn a_small_one_is_made_clean_at_once() {
    let pool = Pool::new(Settings::default()).unwrap();
    soil(
        &pool,
        Key {
            bytes: AT_ONCE,
            contents: Contents::Zeros,
        },
    );
    assert!(unfinished().is_none());
    let memories = pool.metrics().memories;
    assert_eq!(
        (memories.live, memories.warm, memories.events.later),
        (0, 1, 0)
    );
}

#[test]
fn what_is_kept_for_a_thread_goes_when_all_that_it_returned_is_clean() {
    let pool = Pool::new(Settings::default()).unwrap();
    let gone = Arc::new(AtomicUsize::new(0));
    let leases: Vec<_> = (0..2)
        .map(|_| {
            let mut lease = pool.memories().take(LARGE).unwrap();
            lease.region_mut().fill(0..LARGE.bytes, 7).unwrap();
            lease
        })
        .collect();
    drop(leases);
    unfinished().unwrap().keep(Goes(Arc::clone(&gone)));
    assert!(unfinished().is_none(), "it is asked for once");
    until_clean(&pool);
    let patience = Instant::now() + Duration::from_secs(60);
    while gone.load(Ordering::SeqCst) == 0 {
        assert!(Instant::now() < patience, "it is kept for ever");
        thread::yield_now();
    }
    // All are clean when it is kept.
    soil(&pool, LARGE);
    let late = unfinished().unwrap();
    until_clean(&pool);
    late.keep(Goes(Arc::clone(&gone)));
    let patience = Instant::now() + Duration::from_secs(60);
    while gone.load(Ordering::SeqCst) == 1 {
        assert!(Instant::now() < patience, "it is kept for ever");
        thread::yield_now();
    }
}

#[test]
fn a_guest_that_grows_and_fills_its_memory_leaves_nothing_to_the_next() {
    let (engine, pool) = engine(Settings::default());
    let text = format!(
        r#"(module (memory (export "memory") 1)
            (func (export "soil")
                (drop (memory.grow (i32.const 500)))
                (memory.fill (i32.const 0) (i32.const 9) (i32.const {})))
            (func (export "grow") (drop (memory.grow (i32.const 500)))))"#,
        500 << 16
    );
    let module = wasmtime::Module::new(&engine, wat::parse_str(text).unwrap()).unwrap();
    for _ in 0..3 {
        let mut store = wasmtime::Store::new(&engine, ());
        let instance = wasmtime::Instance::new(&mut store, &module, &[]).unwrap();
        let call = |store: &mut wasmtime::Store<()>, name: &str| {
            let function = instance.get_typed_func::<(), ()>(&mut *store, name);
            function.unwrap().call(store, ()).unwrap();
        };
        call(&mut store, "grow");
        let memory = instance.get_memory(&mut store, "memory").unwrap();
        assert!(memory.data(&store).iter().all(|byte| *byte == 0));
        drop(store);
        let mut store = wasmtime::Store::new(&engine, ());
        let instance = wasmtime::Instance::new(&mut store, &module, &[]).unwrap();
        let soil = instance.get_typed_func::<(), ()>(&mut store, "soil");
        soil.unwrap().call(&mut store, ()).unwrap();
        drop(store);
        until_clean(&pool);
    }
    let events = pool.metrics().memories.events;
    assert!(events.later >= 3 && events.condemned == 0, "{events:?}");
}

#[test]
fn a_reset_stops_after_so_much_and_goes_on_where_it_stopped() {
    let page = page_size();
    let reset = || Reset::new(Finder::Scan(PageMap::open().unwrap()), 40 * page);
    let soiled = || {
        let mut region = Region::reserve(0, 100 * page, 0).unwrap();
        region.set_accessible(100 * page).unwrap();
        for index in (0..100).filter(|index| index % 10 != 9) {
            region.fill(index * page..(index + 1) * page, 9).unwrap();
        }
        region
    };
    let (mut at_once, mut in_steps) = (soiled(), soiled());
    let expected = reset().reset(&mut at_once, 3 * page, None).unwrap();
    let (reset, mut begun, mut steps) = (reset(), Begun::default(), 0);
    while !reset
        .go_on(&mut in_steps, 3 * page, None, &mut begun, 7 * page)
        .unwrap()
    {
        steps += 1;
        assert!(!in_steps.is_zero());
        if steps == 10 {
            let whole = reset.go_on(&mut in_steps, 3 * page, None, &mut begun, usize::MAX);
            assert!(whole.unwrap());
            break;
        }
    }
    assert!(at_once.is_zero() && in_steps.is_zero());
    let done = begun.done();
    assert_eq!(
        (
            done.kept_below,
            done.kept_above,
            done.pages_zeroed,
            done.over_budget
        ),
        (
            expected.kept_below,
            expected.kept_above,
            expected.pages_zeroed,
            true
        )
    );
    assert!(steps >= 5, "{steps}");
}

#[test]
fn a_pool_that_goes_while_much_is_not_clean_takes_nothing_with_it() {
    let (done, is_done) = mpsc::channel();
    for _ in 0..20 {
        let pool = Pool::new(Settings::default()).unwrap();
        soil(&pool, LARGE);
        let done = done.clone();
        unfinished().unwrap().keep(CallsOnDrop(Box::new(move || {
            let _ = done.send(());
        })));
        drop(pool);
    }
    for _ in 0..20 {
        is_done.recv_timeout(Duration::from_secs(60)).unwrap();
    }
}

struct CallsOnDrop(Box<dyn Fn() + Send>);

impl Drop for CallsOnDrop {
    fn drop(&mut self) {
        (self.0)();
    }
}
