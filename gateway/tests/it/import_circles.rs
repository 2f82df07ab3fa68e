//! The layers of both crates: there are no import cycles, and modules import only from layers below.
//!
//! What is examined are the paths that begin with `crate`, `super` or `self`, in `use` and elsewhere. A module and its
//! submodules may import each other; apart from that there is no cycle between files, nor between folders. The layers
//! of the gateway are those of ARCHITECTURE.md.

mod sources;

use std::{collections::BTreeMap, fs, path::Path};

use sources::Sources;

#[test]
fn no_import_cycle_is_in_the_dapr_crate() {
    let sources = Sources::read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("dapr/src"));
    assert_eq!(sources.circles(), Vec::<String>::new());
}

#[test]
fn no_import_cycle_is_in_the_gateway() {
    let sources = Sources::read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"));
    assert_eq!(sources.circles(), Vec::<String>::new());
}

#[test]
fn each_module_of_the_gateway_imports_only_from_layers_below_its_own() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let map = fs::read_to_string(root.join("../ARCHITECTURE.md")).unwrap();
    let layers = layers(&map);
    let sources = Sources::read(&root.join("src"));
    for (from, named) in sources.edges(1) {
        for to in named {
            let (above, below) = (layer(&layers, from), layer(&layers, to));
            assert!(
                above < below,
                "{from:?} imports {to:?}, which is not in a layer below it"
            );
        }
    }
}

/// The layer of each module in ARCHITECTURE.md, counted from the top.
fn layers(map: &str) -> BTreeMap<&str, usize> {
    let block = map.split("## Layers").nth(1).unwrap();
    let lines = block.split("```").nth(1).unwrap().lines().enumerate();
    lines
        .flat_map(|(layer, line)| {
            let modules = line.split("  ").next().unwrap_or_default().split(" · ");
            modules.map(move |module| (module.trim(), layer))
        })
        .collect()
}

/// That of a file; the crate's root only declares its modules.
fn layer(layers: &BTreeMap<&str, usize>, module: &[String]) -> usize {
    let Some(top) = module.first() else {
        return 0;
    };
    *layers
        .get(top.as_str())
        .unwrap_or_else(|| panic!("{top} is in no layer of ARCHITECTURE.md"))
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
    // Between folders, though no two files import each other.
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
