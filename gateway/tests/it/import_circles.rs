//! The floors of both crates: modules import downwards, and no two stand on each other.
//!
//! Read are the paths that begin at `crate`, `super` or `self`, in `use` and elsewhere. A module and those within it
//! may name each other; apart from that there is no circle between files, nor between the rooms (folders) that they are
//! in. The rooms of the gateway stand on the floors that ARCHITECTURE.md has them on.

mod sources;

use std::{collections::BTreeMap, fs, path::Path};

use sources::Sources;

#[test]
fn no_circle_of_imports_is_in_the_dapr_crate() {
    let sources = Sources::read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("dapr/src"));
    assert_eq!(sources.circles(), Vec::<String>::new());
}

#[test]
fn no_circle_of_imports_is_in_the_gateway() {
    let sources = Sources::read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"));
    assert_eq!(sources.circles(), Vec::<String>::new());
}

#[test]
fn each_room_of_the_gateway_names_only_rooms_on_floors_below_its_own() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let map = fs::read_to_string(root.join("../ARCHITECTURE.md")).unwrap();
    let floors = floors(&map);
    let sources = Sources::read(&root.join("src"));
    for (from, named) in sources.edges(1) {
        for to in named {
            let (above, below) = (floor(&floors, from), floor(&floors, to));
            assert!(
                above < below,
                "{from:?} names {to:?}, which is not on a floor below it"
            );
        }
    }
}

/// The floor of each room in ARCHITECTURE.md, counted from the roof.
fn floors(map: &str) -> BTreeMap<&str, usize> {
    let block = map.split("## Floors").nth(1).unwrap();
    let lines = block.split("```").nth(1).unwrap().lines().enumerate();
    lines
        .flat_map(|(floor, line)| {
            let rooms = line.split("  ").next().unwrap_or_default().split(" · ");
            rooms.map(move |room| (room.trim(), floor))
        })
        .collect()
}

/// That of a module's room; the root of the crate only names what it consists of.
fn floor(floors: &BTreeMap<&str, usize>, module: &[String]) -> usize {
    let Some(room) = module.first() else {
        return 0;
    };
    *floors
        .get(room.as_str())
        .unwrap_or_else(|| panic!("{room} is on no floor of ARCHITECTURE.md"))
}

#[test]
fn a_circle_is_found_however_it_is_imported() {
    let jobs = ("jobs/mod.rs", "use crate::store::Store;\nmod run;");
    for store in [
        "use crate::jobs::Jobs;",
        "use crate::{time::Time, jobs::{self, run::Run}};",
        "use super::jobs;",
        "fn f() -> crate::jobs::Jobs { todo!() }",
        "use crate::Jobs;",
    ] {
        let files = [("lib.rs", "pub use jobs::Jobs;"), jobs, ("store.rs", store)];
        let circles = Sources::new(files).circles();
        assert_eq!(circles, ["jobs -> store -> jobs"], "{store}");
    }
    // Between rooms, though no two files name each other.
    let files = [
        jobs,
        ("jobs/run.rs", ""),
        ("store/mod.rs", ""),
        ("store/log.rs", "use crate::jobs::run;"),
    ];
    assert_eq!(Sources::new(files).circles(), ["jobs -> store -> jobs"]);
}

#[test]
fn downward_and_inward_paths_are_no_circle() {
    let files = [
        ("lib.rs", "pub use jobs::Jobs;\nmod jobs;\nmod store;"),
        (
            "jobs/mod.rs",
            "mod run;\nuse crate::store::Store;\npub(crate) use run::Run;",
        ),
        (
            "jobs/run.rs",
            "use super::Jobs;\nuse crate::store; // crate::jobs",
        ),
        (
            "store.rs",
            "#[cfg(test)]\nmod tests {\n    use crate::jobs::Jobs;\n}",
        ),
    ];
    assert_eq!(Sources::new(files).circles(), Vec::<String>::new());
}
