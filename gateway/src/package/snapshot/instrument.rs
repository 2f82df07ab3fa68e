//! Instruments modules so that their state can be read: exports their memories and mutable globals.

use wasmparser::{BinaryReader, BinaryReaderError};

use super::{
    super::binary::{self, CODE, DATA, DATA_COUNT, ELEMENT, EXPORT, START, leb128, sections},
    scan::Shape,
};

/// The kinds of exports.
const MEMORY_EXPORT: u8 = 2;
const GLOBAL_EXPORT: u8 = 3;

/// The name by which a memory of this index is exported.
pub(super) fn memory_name(index: u32) -> String {
    format!("wasmgate:memory:{index}")
}

/// The name by which a global of this index is exported.
pub(super) fn global_name(index: u32) -> String {
    format!("wasmgate:global:{index}")
}

/// A module that exports what of it has a state.
///
/// # Errors
/// When it cannot be read.
pub(super) fn with_exports(module: &[u8], shape: &Shape) -> Result<Vec<u8>, BinaryReaderError> {
    let mut out = module
        .get(..binary::PREAMBLE_BYTES)
        .unwrap_or_default()
        .to_vec();
    let mut is_written = false;
    for section in sections(module)? {
        let contents = module.get(section.contents).unwrap_or_default();
        if matches!(section.id, START | ELEMENT | CODE | DATA | DATA_COUNT) && !is_written {
            binary::push(&mut out, EXPORT, &exports(&[0], shape)?);
            is_written = true;
        }
        if section.id == EXPORT {
            binary::push(&mut out, EXPORT, &exports(contents, shape)?);
            is_written = true;
        } else {
            binary::push(&mut out, section.id, contents);
        }
    }
    if !is_written {
        binary::push(&mut out, EXPORT, &exports(&[0], shape)?);
    }
    Ok(out)
}

/// The contents of a section of exports with those of the state behind them.
fn exports(section: &[u8], shape: &Shape) -> Result<Vec<u8>, BinaryReaderError> {
    let mut reader = BinaryReader::new(section, 0);
    let count = u64::from(reader.read_var_u32()?);
    let rest = section
        .get(reader.original_position()..)
        .unwrap_or_default();
    let added = shape.memories.len() + shape.globals.len();
    let mut out = Vec::with_capacity(section.len());
    leb128(&mut out, count + added as u64);
    out.extend_from_slice(rest);
    for (index, _) in &shape.memories {
        export(&mut out, &memory_name(*index), MEMORY_EXPORT, *index);
    }
    for index in &shape.globals {
        export(&mut out, &global_name(*index), GLOBAL_EXPORT, *index);
    }
    Ok(out)
}

fn export(out: &mut Vec<u8>, name: &str, kind: u8, index: u32) {
    leb128(out, name.len() as u64);
    out.extend_from_slice(name.as_bytes());
    out.push(kind);
    leb128(out, index.into());
}
