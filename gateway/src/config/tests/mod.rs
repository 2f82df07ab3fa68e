//! Configurations that are accepted, and the mistakes that others are refused for.

mod files;
mod listeners;
mod packages;
mod reports;
mod routes;
mod values;

use std::{fs, net::SocketAddr, path::Path, time::Duration};

use http::uri::Scheme;
use wasmgate_common::{Code, Position};

use super::*;
use crate::{engine::StackSize, routes::PathPattern};

/// A folder with the component `hello.wasm`, and a configuration for it.
struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("hello.wasm"), b"\0asm").unwrap();
        Self(folder)
    }

    fn file(&self) -> PathBuf {
        self.0.path().join("wasmgate.toml")
    }

    fn parse(&self, text: &str) -> Result<Config, Rejected> {
        parse(text.as_bytes(), &self.file(), &Environment::default())
    }
}

fn accepted(text: &str) -> Config {
    Folder::new()
        .parse(text)
        .unwrap_or_else(|rejected| panic!("{rejected}"))
}

fn mistakes(text: &str) -> Vec<Diagnostic> {
    let rejected = Folder::new().parse(text).unwrap_err();
    rejected.diagnostics.into_iter().collect()
}

/// The only mistake, as line, column and key.
fn mistake(text: &str) -> (u32, u32, String) {
    let all = mistakes(text);
    let [one] = all.as_slice() else {
        panic!("not one mistake but {all:#?}");
    };
    let Position { line, column } = one.place.position.unwrap();
    (line, column, one.place.key.clone())
}

/// The help of the only mistake.
fn help(text: &str) -> String {
    let all = mistakes(text);
    assert_eq!(all.len(), 1, "{all:#?}");
    all[0].help.clone()
}

const HELLO: &str = "[package.hello]\nsource = \"hello.wasm\"\n";

fn with_route(route: &str) -> String {
    format!("{HELLO}[[route]]\n{route}\n")
}
