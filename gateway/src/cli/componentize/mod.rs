//! `wasmgate componentize`: turns a WASI 0.1 core module into a component, for toolchains that do not produce
//! components, such as Go's and C's.

mod room;

use std::{
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::Args;
use wasi_preview1_component_adapter_provider::{
    WASI_SNAPSHOT_PREVIEW1_ADAPTER_NAME as ADAPTED, WASI_SNAPSHOT_PREVIEW1_REACTOR_ADAPTER as ADAPTER,
};
use wasmgate_common::read_file;
use wasmparser::{Parser, Payload};
use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

use super::{Exit, print};

/// The world of modules that do not say of which they are: that of the templates.
const WORLD: &str = include_str!("../../../templates/shared/app.wit");

/// The most bytes of a module: those of the largest component that is served.
const MAX_MODULE: u64 = 512 << 20;

/// The section in which a module says of which world it is (wit-component, "metadata").
const METADATA: &str = "component-type";

/// The beginnings of a core module and of a component (WebAssembly, 5.5.16, and the component model's Binary.md).
const MODULE: &[u8] = b"\0asm\x01\0\0\0";
const COMPONENT: &[u8] = b"\0asm\x0d\0\x01\0";

/// Its arguments.
#[derive(Args)]
pub(crate) struct Componentize {
    /// A WASI 0.1 core module that exports `wasi:http/incoming-handler@0.2.10#handle`, or has its world embedded
    module: PathBuf,
    /// The component to write
    #[arg(long, short, value_name = "FILE")]
    output: PathBuf,
}

impl Componentize {
    pub(super) fn run(self) -> Result<ExitCode, Exit> {
        let Self { module, output } = self;
        let bytes = read_file(&module, MAX_MODULE).map_err(|error| {
            let module = module.display();
            Exit::usage(format!("error: {module} cannot be read: {error}"))
        })?;
        check(&module, &bytes)?;
        let component = component(bytes).map_err(|error| {
            let module = module.display();
            Exit::not_built(format!(
                "error: no component can be made of {module}: {error}"
            ))
        })?;
        fs::write(&output, &component).map_err(|error| {
            let output = output.display();
            Exit::cannot_create(format!("error: {output} cannot be written: {error}"))
        })?;
        print(&format!(
            "{}: {} bytes\n",
            output.display(),
            component.len()
        ))?;
        Ok(ExitCode::SUCCESS)
    }
}

fn check(module: &Path, bytes: &[u8]) -> Result<(), Exit> {
    let what = if bytes.starts_with(COMPONENT) {
        "is a component already"
    } else if bytes.starts_with(MODULE) {
        return Ok(());
    } else {
        "is no WebAssembly"
    };
    Err(Exit::usage(format!("error: {} {what}", module.display())))
}

fn component(module: Vec<u8>) -> Result<Vec<u8>, String> {
    let mut module = room::given(module).map_err(said)?;
    if !says_its_world(&module) {
        let mut resolve = Resolve::default();
        let package = resolve.push_source("app.wit", WORLD).map_err(said)?;
        let world = resolve.select_world(&[package], None).map_err(said)?;
        embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8, false).map_err(said)?;
    }
    let mut encoder = ComponentEncoder::default();
    let encoder = encoder.validate(true).module(&module);
    let encoder = encoder.and_then(|encoder| encoder.adapter(ADAPTED, ADAPTER));
    encoder.and_then(|encoder| encoder.encode()).map_err(said)
}

fn says_its_world(module: &[u8]) -> bool {
    let mut sections = Parser::new(0).parse_all(module);
    sections.any(|section| matches!(section, Ok(Payload::CustomSection(custom)) if custom.name().starts_with(METADATA)))
}

fn said(error: impl std::fmt::Display) -> String {
    format!("{error:#}")
}
