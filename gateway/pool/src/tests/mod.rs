//! Behaviour of the pool, through wasmtime where a guest can show it.

#[path = "../../examples/canary/mod.rs"]
mod canary;
mod images;
mod isolation;
mod later;
mod limits;
mod reset;
mod stacks;

use wasmtime::{Config, Engine};

use crate::{
    image::{Image, ImageOf, Images},
    pool::Pool,
    selftest::{self, ResetMethod},
    settings::Settings,
};

fn engine(settings: Settings) -> (Engine, Pool) {
    engine_on(Pool::new(settings).unwrap())
}

fn engine_on(pool: Pool) -> (Engine, Pool) {
    let mut config = Config::new();
    pool.attach(&mut config);
    (Engine::new(&config).unwrap(), pool)
}

/// The best method this kernel has, and those below it.
fn methods() -> Vec<ResetMethod> {
    let all = [
        ResetMethod::PagemapScan,
        ResetMethod::PagemapRead,
        ResetMethod::Madvise,
    ];
    all.into_iter()
        .filter(|method| selftest::choose(*method, 0).unwrap().method == *method)
        .collect()
}
