//! The target of compiled code: system, processor, and compiler settings.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use wasmtime::Engine;

use super::{EngineId, compiling};

/// The suffix of the LLVM target triple.
const SYSTEM: &str = if cfg!(target_os = "macos") {
    "apple-darwin"
} else {
    "unknown-linux-gnu"
};

/// The LLVM target triple.
pub(crate) fn target() -> String {
    format!("{}-{SYSTEM}", std::env::consts::ARCH)
}

/// A fingerprint of how an engine compiles, independent of the processor: wasmtime's version, and all settings that
/// affect code.
///
/// # Errors
/// When the engine cannot be made.
pub(crate) fn fingerprint(id: EngineId) -> wasmtime::Result<String> {
    let mut config = compiling(id)?;
    // With an explicit target, no features of this processor are detected.
    config.target(&target())?;
    let mut hasher = DefaultHasher::new();
    Engine::new(&config)?
        .precompile_compatibility_hash()
        .hash(&mut hasher);
    Ok(format!("{:016x}", hasher.finish()))
}

/// The features of this processor that the compiler may use, by their names in Rust. wasmtime checks again when code is
/// loaded, by its own list; this one only avoids useless downloads.
pub(crate) fn processor() -> Vec<&'static str> {
    let mut found = Vec::new();
    macro_rules! look {
        ($is:ident: $($feature:tt),* $(,)?) => {
            $(if std::arch::$is!($feature) {
                found.push($feature);
            })*
        };
    }
    #[cfg(target_arch = "x86_64")]
    look!(is_x86_feature_detected: "sse3", "ssse3", "sse4.1", "sse4.2", "popcnt", "cmpxchg16b", "avx", "avx2", "fma",
        "avxvnni", "bmi1", "bmi2", "lzcnt", "avx512bitalg", "avx512dq", "avx512f", "avx512vl", "avx512vbmi",
        "avx512vnni");
    #[cfg(target_arch = "aarch64")]
    look!(is_aarch64_feature_detected: "lse", "paca", "fp16", "dotprod", "i8mm");
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::{EngineKind, StackSize, World};

    #[test]
    fn engines_that_compile_otherwise_have_other_fingerprints_and_the_same_ones_the_same() {
        let of = |kind, world| {
            let stack = StackSize::default();
            fingerprint(EngineId { kind, world, stack }).unwrap()
        };
        let proxy = of(EngineKind::CopyOnWrite, World::Proxy);
        assert_eq!(proxy, of(EngineKind::CopyOnWrite, World::Proxy));
        assert_ne!(proxy, of(EngineKind::CopyOnWrite, World::Service));
    }
}
