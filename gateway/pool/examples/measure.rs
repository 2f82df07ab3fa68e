//! Measures the cost of one instance: instantiate, call, drop, with this pool, with wasmtime's own pool and
//! with neither.
//!
//! `cargo run --release --example measure -p wasmgate-pool [ITERATIONS] [ALLOCATOR]`;
//! with one allocator named, `strace -f -c` around it counts the system calls.

use std::time::Instant;

use wasmgate_pool::{ResetMethod, Settings};
use wasmtime::{
    Config, Engine, Error, Instance, InstanceAllocationStrategy, Linker, Module, PoolingAllocationConfig, Result, Store,
};

/// A megabyte of memory of which a call writes ten pages, as a small component does.
const GUEST: &str = r#"(module
  (memory (export "memory") 16)
  (func (export "run")
    (local $at i32)
    (loop $next
      (i32.store (local.get $at) (i32.const 1))
      (local.set $at (i32.add (local.get $at) (i32.const 4096)))
      (br_if $next (i32.lt_u (local.get $at) (i32.const 40960))))))"#;

/// Enough for figures that do not move in the first two digits.
const DEFAULT_ITERATIONS: u64 = 100_000;

/// Runs before counting, so that warm means warm.
const WARM_UP: u64 = 100;

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let iterations = match arguments.next() {
        Some(text) => text.parse()?,
        None => DEFAULT_ITERATIONS,
    };
    let only = arguments.next();
    println!(
        "{:<13}{:>9}{:>16}{:>18}",
        "allocator", "threads", "µs/instance", "faults/instance"
    );
    for name in ["pool", "pool-read", "pool-madvise", "stock", "on-demand"] {
        if only.as_ref().is_none_or(|only| only == name) {
            for threads in [1, 2] {
                measure(name, threads, iterations)?;
            }
        }
    }
    Ok(())
}

fn measure(name: &str, threads: u64, iterations: u64) -> Result<()> {
    let (engine, pool) = engine(name)?;
    let module = Module::new(&engine, wat::parse_str(GUEST)?)?;
    on_threads(threads, &engine, &module, WARM_UP)?;
    let (start, faults) = (Instant::now(), page_faults()?);
    on_threads(threads, &engine, &module, iterations)?;
    let micros = start.elapsed().as_secs_f64() * 1e6 * threads as f64;
    let faults = (page_faults()? - faults) as f64;
    let total = (threads * iterations) as f64;
    println!(
        "{name:<13}{threads:>9}{:>16.2}{:>18.3}",
        micros / total,
        faults / total
    );
    if let Some(pool) = pool {
        println!("  {:?}", pool.metrics().memories.events);
    }
    Ok(())
}

fn engine(name: &str) -> Result<(Engine, Option<wasmgate_pool::Pool>)> {
    let mut config = Config::new();
    config.concurrency_support(false);
    let reset_method = match name {
        "pool" => Some(ResetMethod::PagemapScan),
        "pool-read" => Some(ResetMethod::PagemapRead),
        "pool-madvise" => Some(ResetMethod::Madvise),
        _ => None,
    };
    let mut pool = None;
    if let Some(reset_method) = reset_method {
        let settings = Settings {
            reset_method,
            ..Settings::default()
        };
        pool = Some(wasmgate_pool::configure(&mut config, settings)?);
    } else if name == "stock" {
        let pooling = PoolingAllocationConfig::new();
        config.allocation_strategy(InstanceAllocationStrategy::Pooling(pooling));
    }
    Ok((Engine::new(&config)?, pool))
}

fn on_threads(threads: u64, engine: &Engine, module: &Module, iterations: u64) -> Result<()> {
    let linker = Linker::<()>::new(engine);
    let template = linker.instantiate_pre(module)?;
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads)
            .map(|_| {
                scope.spawn(|| {
                    for _ in 0..iterations {
                        let mut store = Store::new(engine, ());
                        let instance: Instance = template.instantiate(&mut store)?;
                        instance
                            .get_typed_func::<(), ()>(&mut store, "run")?
                            .call(&mut store, ())?;
                    }
                    Ok::<_, Error>(())
                })
            })
            .collect();
        workers.into_iter().try_for_each(|worker| {
            worker
                .join()
                .map_err(|_| Error::msg("a measuring thread panicked"))?
        })
    })
}

/// Minor page faults of this process so far: the tenth field of its `stat`, counted after the name,
/// which may contain spaces.
fn page_faults() -> Result<u64> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    let mut fields = stat
        .rsplit(')')
        .next()
        .unwrap_or_default()
        .split_whitespace();
    let faults = fields
        .nth(7)
        .ok_or_else(|| Error::msg("an odd /proc/self/stat"))?;
    Ok(faults.parse()?)
}
