//! The long isolation test: canaries on every core while the kernel compacts memory in a loop, and canaries whose
//! memory is paged out just before they end.
//!
//! `cargo run --release --example torture -p wasmgate-pool [SECONDS]`, as root; without root it says
//! so and does nothing. The pool must show no byte of an earlier instance. The control is wasmtime's
//! own pool with its page-map scan, whose mask misses pages that are being moved or are on swap: that the canary
//! catches it shows that the test can see such a leak. Which page is being moved at the moment of a scan is luck, and
//! may show nothing for minutes; what is on swap is missed each time, so that the control has to show it.

mod canary;
mod swap;

use std::{
    process::ExitCode,
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    time::{Duration, Instant},
};

use canary::{Canary, Visit};
use rustix::mm::Advice;
use swap::SwapFile;
use wasmgate_pool::{Image, ImageOf, Images, ResetMethod, Settings};
use wasmtime::{Config, Enabled, Engine, Error, InstanceAllocationStrategy, PoolingAllocationConfig, Result};

/// Long enough for tens of thousands of visits in each part.
const DEFAULT_SECONDS: u64 = 60;

/// Writing to it makes the kernel move every page it can.
const COMPACT: &str = "/proc/sys/vm/compact_memory";

/// Sizes in pages of 64 KiB that share the slots.
const SIZES: [u32; 3] = [1, 4, 16];

/// Memories with an image: their size in those pages, and the image's in words of eight bytes.
const IMAGES: [(u32, u32); 2] = [(2, 9_000), (8, 65_536)];

/// Budgets, in bytes: nothing kept, part of a memory, all of it.
const BUDGETS: [usize; 3] = [0, 100 << 10, 1 << 20];

/// The methods that believe a page map.
const METHODS: [ResetMethod; 2] = [ResetMethod::PagemapScan, ResetMethod::PagemapRead];

/// Visits whose memory is paged out, with each pool.
const PAGED_OUT: u64 = 300;

/// Memory of each instance that only keeps the kernel busy, in pages of 64 KiB.
const CHURN_PAGES: u32 = 64;

/// Bytes of one memory the control keeps: less than a memory, so that pages come and go and the
/// kernel always finds some to move.
const CONTROL_RESIDENT_BYTES: usize = 100 << 10;

fn main() -> Result<ExitCode> {
    if let Err(error) = compact() {
        println!("skipped: {COMPACT} cannot be written ({error}); run as root");
        return Ok(ExitCode::SUCCESS);
    }
    let seconds = match std::env::args().nth(1) {
        Some(text) => text.parse()?,
        None => DEFAULT_SECONDS,
    };
    let part = Duration::from_secs(seconds) / (BUDGETS.len() * METHODS.len() + 1) as u32;
    let mut leaked = 0;
    for reset_method in METHODS {
        for keep_resident_bytes in BUDGETS {
            let settings = Settings {
                keep_resident_bytes,
                reset_method,
                ..Settings::default()
            };
            leaked += torture_pool(settings, part)?;
        }
    }
    let control = torture(&Engine::new(&control()?)?, &[], part)?;
    control.print("control: wasmtime's pagemap_scan");
    if control.leaks == 0 {
        println!("  none: no page of a canary was being moved just when it was looked for");
    }
    Ok(if swapped()? && leaked == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// Pages the memories out before their canaries end. Returns whether the pool showed nothing and the control did.
fn swapped() -> Result<bool> {
    let _swap = match SwapFile::new() {
        Ok(swap) => swap,
        Err(error) => {
            println!("nothing is paged out: no swap file can be had ({error})");
            return Ok(true);
        }
    };
    let mut clean = true;
    for reset_method in METHODS {
        let mut config = Config::new();
        let settings = Settings {
            reset_method,
            ..Settings::default()
        };
        let pool = wasmgate_pool::configure(&mut config, settings)?;
        let tally = page_out(&Engine::new(&config)?, &IMAGES)?;
        tally.print(&format!(
            "{}, paged out",
            pool.metrics().reset_method.name()
        ));
        clean &= tally.leaks == 0;
    }
    let control = page_out(&Engine::new(&control()?)?, &[])?;
    control.print("control: wasmtime's pagemap_scan, paged out");
    if control.leaks == 0 {
        println!("  the control shows nothing: what the pool shows proves nothing either");
    }
    Ok(clean && control.leaks > 0)
}

/// Canaries one after the other, each paged out before its end.
#[allow(unsafe_code, reason = "the kernel is asked to page memory out")]
fn page_out(engine: &Engine, images: &[(u32, u32)]) -> Result<Tally> {
    let canaries = canaries(engine, images)?;
    let mut tally = Tally {
        visits: 0,
        leaks: 0,
    };
    while tally.visits < PAGED_OUT {
        for canary in &canaries {
            let soiled = Visit {
                grow: 0,
                stride: 4096,
                trap: false,
            };
            let found = canary.visit_with(soiled, |start, bytes| {
                // SAFETY: the memory is the canary's own and lives; its contents are kept.
                let asked = unsafe { rustix::mm::madvise(start.cast(), bytes, Advice::LinuxPageOut) };
                if let Err(error) = asked {
                    println!("a memory cannot be paged out: {error}");
                }
            })?;
            tally.visits += 1;
            tally.leaks += u64::from(found > 0);
        }
    }
    Ok(tally)
}

/// Tortures a pool and says how many visits saw something.
fn torture_pool(settings: Settings, time: Duration) -> Result<u64> {
    let mut config = Config::new();
    let pool = wasmgate_pool::configure(&mut config, settings)?;
    let tally = torture(&Engine::new(&config)?, &IMAGES, time)?;
    let metrics = pool.metrics();
    let (name, kept) = (metrics.reset_method.name(), settings.keep_resident_bytes);
    tally.print(&format!("{name}, {kept} bytes kept"));
    println!("  {:?}", metrics.memories.events);
    Ok(tally.leaks)
}

/// Wasmtime's own pool with the scan that is known to leak.
fn control() -> Result<Config> {
    let mut pooling = PoolingAllocationConfig::new();
    pooling
        .pagemap_scan(Enabled::Yes)
        .linear_memory_keep_resident(CONTROL_RESIDENT_BYTES);
    let mut config = Config::new();
    config.allocation_strategy(InstanceAllocationStrategy::Pooling(pooling));
    Ok(config)
}

/// The canaries' counts.
struct Tally {
    visits: u64,
    /// Visits that found a byte of an earlier instance.
    leaks: u64,
}

impl Tally {
    fn print(&self, what: &str) {
        println!(
            "{what}: {} visits, {} saw an earlier instance's bytes",
            self.visits, self.leaks
        );
    }
}

/// One of each size, with an image and without.
fn canaries(engine: &Engine, images: &[(u32, u32)]) -> Result<Vec<Canary>> {
    let plain = SIZES.iter().map(|pages| Canary::new(engine, *pages));
    let imaged = images
        .iter()
        .map(|(pages, words)| Canary::with_image(engine, *pages, *words));
    plain.chain(imaged).collect()
}

/// Canaries on every core for as long as `time`, compaction beside them.
fn torture(engine: &Engine, images: &[(u32, u32)], time: Duration) -> Result<Tally> {
    let canaries = canaries(engine, images)?;
    let (visits, leaks, over) = (AtomicU64::new(0), AtomicU64::new(0), AtomicBool::new(false));
    let end = Instant::now() + time;
    let cores = std::thread::available_parallelism()?.get();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                // It was writable at the start; a refusal now only makes the test weaker.
                let _ = compact();
            }
        });
        let churn = scope.spawn(|| churn(&over));
        let workers: Vec<_> = (0..cores)
            .map(|_| {
                scope.spawn(|| {
                    while Instant::now() < end {
                        let round = visits.fetch_add(1, Ordering::Relaxed);
                        if visit(&canaries, round)? {
                            leaks.fetch_add(1, Ordering::Relaxed);
                        }
                    }
                    Ok::<_, Error>(())
                })
            })
            .collect();
        let result = workers.into_iter().try_for_each(|worker| {
            worker
                .join()
                .map_err(|_| Error::msg("a canary's thread panicked"))?
        });
        over.store(true, Ordering::Relaxed);
        let churned = churn
            .join()
            .map_err(|_| Error::msg("the churning thread panicked"))?;
        result.and(churned)
    })?;
    Ok(Tally {
        visits: visits.into_inner(),
        leaks: leaks.into_inner(),
    })
}

/// One instance, sparse or dense, sometimes growing, sometimes ending in a trap. True if it found
/// something.
fn visit(canaries: &[Canary], round: u64) -> Result<bool> {
    let index = round as usize % canaries.len();
    let canary = canaries
        .get(index)
        .ok_or_else(|| Error::msg("no canaries"))?;
    let visit = Visit {
        grow: if round.is_multiple_of(7) { 3 } else { 0 },
        stride: if round.is_multiple_of(5) { 8 } else { 4096 },
        trap: round.is_multiple_of(10),
    };
    Ok(canary.visit(visit)? > 0)
}

/// Takes pages and gives them back, so that memory stays fragmented and compaction has work.
fn churn(over: &AtomicBool) -> Result<()> {
    let canary = Canary::new(&Engine::default(), CHURN_PAGES)?;
    while !over.load(Ordering::Relaxed) {
        canary.visit(Visit {
            grow: 0,
            stride: 4096,
            trap: false,
        })?;
    }
    Ok(())
}

fn compact() -> std::io::Result<()> {
    std::fs::write(COMPACT, "1")
}
