//! An embedding in a page: an engine on a pool, a fresh instance for every call, a look at the
//! numbers.
//!
//! `cargo run --example embed -p wasmgate-pool`

use wasmgate_pool::Settings;
use wasmtime::{Config, Engine, Instance, Module, Result, Store, ensure};

const GUEST: &str = r#"(module
  (memory (export "memory") 16)
  (func (export "count") (result i32)
    (i32.store (i32.const 0) (i32.add (i32.load (i32.const 0)) (i32.const 1)))
    (i32.load (i32.const 0))))"#;

/// More calls than instances that are ever alive at once, so that memories are used again.
const CALLS: usize = 1000;

fn main() -> Result<()> {
    let mut config = Config::new();
    let pool = wasmgate_pool::configure(&mut config, Settings::default())?;
    let engine = Engine::new(&config)?;
    let module = Module::new(&engine, wat::parse_str(GUEST)?)?;

    for _ in 0..CALLS {
        let mut store = Store::new(&engine, ());
        let instance = Instance::new(&mut store, &module, &[])?;
        let count = instance.get_typed_func::<(), i32>(&mut store, "count")?;
        let counted = count.call(&mut store, ())?;
        ensure!(
            counted == 1,
            "an earlier instance's counter shows through: {counted}"
        );
    }

    let metrics = pool.metrics();
    println!("reset method: {}", metrics.reset_method.name());
    if let Some(reason) = &metrics.reset_method_reason {
        println!("  because {reason}");
    }
    let memories = metrics.memories;
    println!("{CALLS} calls, each in a fresh instance that counted to 1");
    println!(
        "memories: {} created, {} reused, {} live, {} warm holding {} KiB, {} pages zeroed",
        memories.events.created,
        memories.events.reused,
        memories.live,
        memories.warm,
        memories.warm_resident_bytes / 1024,
        memories.events.pages_zeroed,
    );
    // Nobody used the memory between these two: the second call takes it.
    pool.trim();
    println!("trimmed {} idle memories", pool.trim());
    Ok(())
}
