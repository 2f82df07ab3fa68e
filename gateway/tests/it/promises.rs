//! SECURITY.md: every test that it names is there, and every guarantee names one.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

/// Shorter words in a row are keys and names of files.
const LEAST_OF_A_NAME: usize = 12;

#[test]
fn every_guarantee_is_held_by_tests_that_are_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let text = fs::read_to_string(root.join("SECURITY.md")).unwrap();
    let tables = text.split("| guarantee | tests |\n|---|---|\n").skip(1);
    let rows: Vec<_> = tables
        .flat_map(|table| table.lines().take_while(|line| line.starts_with('|')))
        .collect();
    let mut tests = BTreeSet::new();
    collect(&root.join("gateway"), &mut tests);
    collect(&root.join("fuzz"), &mut tests);
    let mut wrong = Vec::new();
    for row in &rows {
        let (_, held) = row.trim_end_matches('|').rsplit_once(" | ").unwrap();
        let named: Vec<_> = held
            .split('`')
            .skip(1)
            .step_by(2)
            .filter(|word| is_name(word))
            .collect();
        if named.is_empty() {
            wrong.push(format!("no test: {row}"));
        }
        let missing = named.iter().filter(|name| !tests.contains(**name));
        wrong.extend(missing.map(|name| format!("{name} is not there")));
    }
    assert!(rows.len() >= 35 && wrong.is_empty(), "{wrong:#?}");
}

fn is_name(word: &str) -> bool {
    word.len() >= LEAST_OF_A_NAME
        && word
            .bytes()
            .all(|byte| byte == b'_' || byte.is_ascii_lowercase() || byte.is_ascii_digit())
}

/// The names of all functions below a folder: what is not a test is not named as one.
fn collect(folder: &Path, tests: &mut BTreeSet<String>) {
    let entries = fs::read_dir(folder).unwrap();
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| !path.ends_with("target"));
    for path in paths {
        if path.is_dir() {
            collect(&path, tests);
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            let text = fs::read_to_string(path).unwrap();
            let functions = text.split("fn ").skip(1);
            let names = functions.filter_map(|rest| rest.split_once('('));
            tests.extend(names.map(|(name, _)| name.to_owned()));
        }
    }
}
