//! The seeds of every target, and small changes of them.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    fs,
    path::{Path, PathBuf},
};

/// Changed inputs of each target: over in seconds.
const CHANGES: usize = 2000;

/// What changes put in, since chance rarely finds it.
#[rustfmt::skip]
const WORDS: [&str; 24] = [
    "..", "%2e", "%2F", "%", "//", "\\", "\0", "\r\n", "\n\n", "\n---\n", "{", "[", "(", "\"", "'", ":", "-1", "0",
    "18446744073709551616", "1e999", "null", "*", "é", "\u{202e}",
];

#[test]
fn no_seed_and_no_change_of_one_is_a_finding() {
    for (name, target) in wasmgate_fuzz::TARGETS {
        let mut seeds: Vec<PathBuf> = fs::read_dir(seeds().join(name))
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .collect();
        seeds.sort();
        assert!(seeds.len() >= 3, "{name} has hardly a seed");
        let changes = CHANGES / seeds.len();
        for seed in seeds {
            let bytes = fs::read(&seed).unwrap();
            let told = Told(format!("{name}: {}", seed.display()));
            target(&bytes);
            drop(told);
            // The same changes in every run.
            let mut random = fastrand::Rng::with_seed(bytes.len() as u64);
            for _ in 0..changes {
                let changed = changed(&bytes, &mut random);
                let told = Told(format!("{name}: {:?}", String::from_utf8_lossy(&changed)));
                target(&changed);
                drop(told);
            }
        }
    }
}

#[test]
fn every_folder_of_seeds_has_a_target() {
    for entry in fs::read_dir(seeds()).unwrap() {
        let name = entry.unwrap().file_name();
        let mut targets = wasmgate_fuzz::TARGETS.iter();
        assert!(targets.any(|(target, _)| name == *target), "{name:?}");
    }
}

fn seeds() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("seeds")
}

/// Shows an input when its target has panicked.
struct Told(String);

impl Drop for Told {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}", self.0);
        }
    }
}

fn changed(seed: &[u8], random: &mut fastrand::Rng) -> Vec<u8> {
    let mut bytes = seed.to_vec();
    for _ in 0..random.usize(1..4) {
        let at = random.usize(0..=bytes.len());
        let end = random.usize(at..=bytes.len().min(at + 16));
        match random.u8(0..5) {
            0 => drop(bytes.splice(at..end, [])),
            1 => drop(bytes.splice(at..at, random.choice(WORDS).unwrap().bytes())),
            2 => {
                let copy = bytes.get(at..end).unwrap().repeat(random.usize(1..50));
                bytes.splice(at..at, copy);
            }
            3 => bytes.truncate(at),
            _ => {
                if let Some(byte) = bytes.get_mut(at) {
                    *byte ^= 1 << random.u8(0..8);
                }
            }
        }
    }
    bytes
}
