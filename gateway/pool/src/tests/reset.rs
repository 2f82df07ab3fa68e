//! The reset itself, below wasmtime.

use rustix::param::page_size;

use crate::{
    pool::Pool,
    region::Region,
    reset::{Fallback, Finder, PageMap, Reset},
    selftest::{self, ResetMethod},
    settings::Settings,
    shard::Lease,
    slots::{Contents, Key},
};

fn region(pages: usize) -> Region {
    let mut region = Region::reserve(0, pages * page_size(), 0).unwrap();
    region.set_accessible(pages * page_size()).unwrap();
    region
}

fn scanning(keep_resident_bytes: usize) -> Reset {
    Reset::new(Finder::Scan(PageMap::open().unwrap()), keep_resident_bytes)
}

fn take_soiled(pool: &Pool, pages: usize) -> Lease {
    let bytes = pages * page_size();
    let mut lease = pool
        .memories()
        .take(Key {
            bytes,
            contents: Contents::Zeros,
        })
        .unwrap();
    assert!(lease.region_mut().is_zero());
    lease.region_mut().fill(0..bytes, 7).unwrap();
    lease
}

#[test]
fn this_system_gets_a_method_and_a_reason_for_each_better_one_it_lacks() {
    let choice = selftest::choose(ResetMethod::PagemapScan, 1 << 20).unwrap();
    assert_eq!(
        choice.method == ResetMethod::PagemapScan,
        choice.reason.is_none()
    );
}

#[test]
fn more_dirty_stretches_than_one_scan_reports_are_all_found() {
    let page = page_size();
    let mut region = region(1000);
    for index in (0..1000).step_by(2) {
        region.fill(index * page..index * page + 1, 9).unwrap();
    }
    let outcome = scanning(usize::MAX).reset(&mut region, 0, None).unwrap();
    assert!(region.is_zero());
    assert_eq!(
        (outcome.pages_zeroed, outcome.kept_above),
        (500, 500 * page)
    );
}

#[test]
fn clean_pages_are_neither_zeroed_nor_made_resident() {
    let page = page_size();
    let mut region = region(1000);
    assert!(region.is_zero(), "which reads every page");
    region.fill(page..2 * page, 9).unwrap();
    let outcome = scanning(usize::MAX).reset(&mut region, 0, None).unwrap();
    assert_eq!(outcome.pages_zeroed, 1);
}

#[test]
fn pages_beyond_the_budget_go_back_and_read_as_zeros() {
    let page = page_size();
    let mut region = region(20);
    region.fill(0..20 * page, 9).unwrap();
    let outcome = scanning(5 * page + 1)
        .reset(&mut region, 3 * page, None)
        .unwrap();
    assert!(region.is_zero());
    assert!(outcome.over_budget);
    assert_eq!(
        (outcome.kept_below, outcome.kept_above),
        (3 * page, 2 * page)
    );
}

#[test]
fn a_page_map_that_fails_sends_everything_back() {
    let mut region = region(20);
    region.fill(0..20 * page_size(), 9).unwrap();
    let nothing = std::fs::File::open("/dev/null").unwrap();
    for broken in [Finder::Scan, Finder::Read] {
        let map = PageMap::with_file(nothing.try_clone().unwrap()).unwrap();
        let outcome = Reset::new(broken(map), 1 << 20)
            .reset(&mut region, 0, None)
            .unwrap();
        assert_eq!(outcome.fallback, Some(Fallback::ScanFailed));
        assert!(region.is_zero());
    }
}

#[test]
fn a_slot_that_cannot_be_cleaned_is_unmapped_and_never_used_again() {
    let pool = Pool::new(Settings {
        keep_resident_bytes: 0,
        ..Settings::default()
    })
    .unwrap();
    let lease = take_soiled(&pool, 1);
    // SAFETY: one page of a leased, accessible region; locking changes no contents. The kernel
    // refuses to drop locked pages.
    let locked = unsafe { libc::mlock(lease.region().base().cast(), page_size()) };
    assert_eq!(locked, 0, "{}", std::io::Error::last_os_error());
    drop(lease);
    let memories = pool.metrics().memories;
    assert_eq!(
        (memories.live, memories.warm, memories.events.condemned),
        (0, 0, 1)
    );
    drop(take_soiled(&pool, 1));
    drop(take_soiled(&pool, 1));
}

#[test]
fn a_forked_process_does_not_believe_its_parents_page_map() {
    let pool = Pool::new(Settings::default()).unwrap();
    let bytes = 4 * page_size();
    let key = Key {
        bytes,
        contents: Contents::Zeros,
    };
    drop(take_soiled(&pool, 4));
    // SAFETY: the child touches only this test's own pool and leaves with `_exit`.
    let child = unsafe { libc::fork() };
    if child == 0 {
        drop(take_soiled(&pool, 4));
        let clean = pool
            .memories()
            .take(key)
            .is_ok_and(|mut lease| lease.region_mut().is_zero());
        let forked = pool.metrics().memories.events.fallbacks.forked;
        // SAFETY: ends the child at once, without running the parent's destructors.
        unsafe { libc::_exit(if clean && forked >= 1 { 0 } else { 1 }) };
    }
    let mut status = 0;
    // SAFETY: waits for the child made above; `status` is a valid place for the result.
    assert_eq!(unsafe { libc::waitpid(child, &raw mut status, 0) }, child);
    assert!(
        libc::WIFEXITED(status) && libc::WEXITSTATUS(status) == 0,
        "status {status}"
    );
    assert_eq!(pool.metrics().memories.events.fallbacks.total(), 0);
}
