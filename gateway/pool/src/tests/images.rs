//! Memories that begin with an image.

use std::{
    pin::pin,
    sync::Arc,
    task::{Context, Poll, Waker},
};

use rustix::param::page_size;
use wasmtime::{Error, Instance, Module, Store};

use super::{
    canary::{Canary, Visit},
    engine, engine_on,
};
use crate::{
    image::{Image, ImageOf, Images},
    pool::Pool,
    selftest::{self, ResetMethod},
    settings::Settings,
};

const SPARSE: Visit = Visit {
    grow: 0,
    stride: 65_536,
    trap: false,
};

const DENSE: Visit = Visit {
    stride: 8,
    ..SPARSE
};

fn ready<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("it waits"),
    }
}

#[test]
fn only_pages_that_were_written_are_restored_and_nothing_is_mapped_anew() {
    let (engine, pool) = engine(Settings::default());
    let canary = Canary::with_image(&engine, 16, 16 * 8192).unwrap();
    for _ in 0..10 {
        assert_eq!(canary.visit(SPARSE).unwrap(), 0);
    }
    let events = pool.metrics().memories.events;
    assert_eq!((events.created, events.reused), (1, 9));
    assert_eq!(events.pages_zeroed, 10 * 16, "a page for each 64 KiB");
}

#[test]
fn the_canary_catches_an_image_that_is_not_restored() {
    let mut choice = selftest::choose(ResetMethod::PagemapScan, 1 << 20).unwrap();
    choice.reset.switched_off = true;
    let (engine, _pool) = engine_on(Pool::with_choice(Settings::default(), choice));
    let canary = Canary::with_image(&engine, 3, 3 * 8192).unwrap();
    assert_eq!(canary.visit(SPARSE).unwrap(), 0);
    assert_eq!(canary.visit(SPARSE).unwrap(), 3);
}

#[test]
fn memories_of_one_size_and_different_images_are_never_exchanged() {
    let (engine, pool) = engine(Settings::default());
    let canaries = [
        Canary::new(&engine, 4).unwrap(),
        Canary::with_image(&engine, 4, 100).unwrap(),
        Canary::with_image(&engine, 4, 20_000).unwrap(),
    ];
    for round in 0..30 {
        assert_eq!(
            canaries[round % 3].visit(DENSE).unwrap(),
            0,
            "round {round}"
        );
    }
    assert_eq!(pool.metrics().memories.events.created, 3);
}

#[test]
fn pages_that_are_kept_for_nothing_go_back_and_come_again_from_the_image() {
    let (engine, pool) = engine(Settings::default());
    for canary in [
        Canary::with_image(&engine, 64, 64 * 8192).unwrap(),
        Canary::new(&engine, 64).unwrap(),
    ] {
        let before = pool.metrics().memories.events;
        for visit in [DENSE, SPARSE, SPARSE, SPARSE] {
            assert_eq!(canary.visit(visit).unwrap(), 0);
        }
        let events = pool.metrics().memories.events;
        assert_eq!(events.unneeded - before.unneeded, 1);
        let pages = (64 << 16) / page_size() as u64;
        assert!(events.pages_zeroed - before.pages_zeroed <= 2 * pages + 3 * 64);
    }
}

#[test]
fn warm_memories_beyond_a_workers_bytes_are_unmapped() {
    let settings = Settings {
        max_warm_bytes_per_worker: 3 << 20,
        ..Settings::default()
    };
    let (engine, pool) = engine(settings);
    let canary = Canary::with_image(&engine, 16, 16 * 8192).unwrap();
    let stores: Vec<_> = (0..5)
        .map(|_| canary.visit_and_stay(DENSE).unwrap().0)
        .collect();
    drop(stores);
    let memories = pool.metrics().memories;
    assert_eq!((memories.warm, memories.events.released), (3, 2));
    assert_eq!(memories.warm_resident_bytes, 3 << 20);
}

#[test]
fn an_instantiation_without_the_memory_of_its_image_is_refused() {
    let (engine, _pool) = engine(Settings::default());
    let of = ImageOf {
        minimum_bytes: 2 << 16,
        maximum_pages: None,
        image: Arc::new(Image::of_bytes(b"data").unwrap()),
    };
    let images = Arc::new(Images::new(vec![of], 1));
    for (text, fits) in [
        ("(module (memory 2))", true),
        ("(module (memory 1))", false),
        ("(module (memory 2 3))", false),
        ("(module (memory 2) (memory 2))", false),
    ] {
        let module = Module::new(&engine, wat::parse_str(text).unwrap()).unwrap();
        let mut store = Store::new(&engine, ());
        let instantiation = async { Instance::new(&mut store, &module, &[]) };
        let made: Result<_, Error> = ready(Arc::clone(&images).instantiate(instantiation));
        assert_eq!(made.is_ok(), fits, "{text}");
    }
}

#[test]
fn an_image_is_whole_pages_and_has_some() {
    assert!(Image::of_bytes(b"").is_err());
    assert_eq!(Image::of_bytes(b"x").unwrap().bytes(), page_size());
    let page = page_size();
    for (offset, bytes, fits) in [
        (0, 2 * page, true),
        (page as u64, page, true),
        (0, page + 1, false),
        (1, page, false),
        (page as u64, 2 * page, false),
        (u64::MAX - page as u64 + 1, page, false),
        (0, 0, false),
    ] {
        let file = rustix::fs::memfd_create("image", rustix::fs::MemfdFlags::CLOEXEC).unwrap();
        let file = std::fs::File::from(file);
        file.set_len(2 * page as u64 + 1).unwrap();
        assert_eq!(
            Image::new(file, offset, bytes).is_ok(),
            fits,
            "{offset} {bytes}"
        );
    }
}
