//! The calls, as the files have them.

use std::{collections::BTreeMap, path::PathBuf};

use serde::Deserialize;

/// One file of calls.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    /// The calls are made of each of these; `<store>` in them is its name.
    #[serde(default)]
    stores: Vec<String>,
    /// Whether they are made through the gateway's client too.
    #[serde(default = "yes")]
    relay: bool,
    /// Whether they are made of the SDK's stand-in too.
    #[serde(default = "yes")]
    stand_in: bool,
    cases: Vec<Raw>,
}

#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    is: String,
    /// Method and path.
    call: String,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    #[serde(default)]
    body: String,
    /// So many letters take the place of `<fill>` in the body.
    #[serde(default)]
    fill: usize,
    /// Names for parts of the answer: `header etag`, `json /id`. Later calls have them as `<name>`.
    #[serde(default)]
    keep: BTreeMap<String, String>,
    /// The path on which the app is sent something because of the call, and how often.
    #[serde(default)]
    sent: Option<Sent>,
    #[serde(default = "yes")]
    relay: bool,
    #[serde(default)]
    stand_in: Option<bool>,
}

/// What the app is sent because of a call.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Sent {
    pub(super) at: String,
    #[serde(default = "once")]
    pub(super) times: usize,
}

fn yes() -> bool {
    true
}

fn once() -> usize {
    1
}

/// A call by its name, which is its file's, its store's if it has some, and its own.
#[derive(Clone, Debug)]
pub(super) struct Case {
    pub(super) name: String,
    pub(super) relay: bool,
    pub(super) stand_in: bool,
    pub(super) keep: BTreeMap<String, String>,
    call: String,
    headers: BTreeMap<String, String>,
    body: String,
    sent: Option<Sent>,
}

/// A call as it is made, with what earlier answers brought.
#[derive(Clone, Debug)]
pub(super) struct Step {
    pub(super) name: String,
    pub(super) method: String,
    pub(super) path: String,
    pub(super) headers: BTreeMap<String, String>,
    pub(super) body: String,
    pub(super) sent: Option<Sent>,
}

pub(super) fn folder() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/differential"))
}

/// All calls of all files, in the order in which they are made.
pub(super) fn read_all() -> Vec<Case> {
    let calls = std::fs::read_dir(folder().join("calls")).unwrap();
    let mut files: Vec<PathBuf> = calls.map(|file| file.unwrap().path()).collect();
    files.sort();
    files.iter().flat_map(read).collect()
}

fn read(path: &PathBuf) -> Vec<Case> {
    let text = std::fs::read_to_string(path).unwrap();
    let file: File = serde_norway::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let block = path.file_stem().unwrap().to_str().unwrap();
    let stores = match file.stores.as_slice() {
        [] => vec![None],
        stores => stores.iter().map(Some).collect(),
    };
    let file = &file;
    let cases = stores.into_iter().flat_map(|store: Option<&String>| {
        let cases = file.cases.iter();
        cases.map(move |raw| case(block, store.map(String::as_str), raw, file))
    });
    cases.collect()
}

fn case(block: &str, store: Option<&str>, raw: &Raw, file: &File) -> Case {
    let place = |text: &str| text.replace("<store>", store.unwrap_or("<store>"));
    let name = match store {
        Some(store) => format!("{block}/{store}/{}", raw.is),
        None => format!("{block}/{}", raw.is),
    };
    let headers = raw.headers.iter();
    Case {
        name,
        relay: file.relay && raw.relay,
        // All its stores are of one kind.
        stand_in: raw.stand_in.unwrap_or(file.stand_in) && store.is_none_or(|store| store == "statestore"),
        keep: raw.keep.clone(),
        call: place(&raw.call),
        headers: headers
            .map(|(name, value)| (name.clone(), place(value)))
            .collect(),
        body: place(&raw.body).replace("<fill>", &"x".repeat(raw.fill)),
        sent: raw.sent.clone(),
    }
}

impl Step {
    pub(super) fn new(case: &Case, kept: &BTreeMap<String, String>) -> Self {
        let fill = |text: &str| {
            let kept = kept.iter();
            kept.fold(text.to_owned(), |text, (name, value)| {
                text.replace(&format!("<{name}>"), value)
            })
        };
        let call = fill(&case.call);
        let (method, path) = call.split_once(' ').unwrap();
        let headers = case.headers.iter();
        Self {
            name: case.name.clone(),
            method: method.to_owned(),
            path: path.to_owned(),
            headers: headers
                .map(|(name, value)| (name.clone(), fill(value)))
                .collect(),
            body: fill(&case.body),
            sent: case.sent.clone(),
        }
    }
}
