//! Writes modules with a given initial state.

use std::collections::BTreeMap;

use wasmparser::{BinaryReader, BinaryReaderError, DataKind, MemoryType};

use super::{
    super::binary::{
        self, CORE_MODULE, DATA, DATA_COUNT, GLOBAL, MEMORY, START, leb128, rewrite, sections, signed_leb128,
    },
    run::{ModuleState, Number, Segment},
};

/// The end of a constant expression.
const END: u8 = 0x0B;

/// A component with other modules where they begin at these places.
///
/// # Errors
/// When it cannot be read.
pub(super) fn with_modules(component: &[u8], modules: &BTreeMap<usize, Vec<u8>>) -> Result<Vec<u8>, BinaryReaderError> {
    rewrite(component, |section, _| match section.id {
        CORE_MODULE => Ok(modules.get(&section.contents.start).cloned()),
        _ => Ok(None),
    })
}

/// A module that begins with a state. What brought it there is taken away: data that was copied, and the start
/// function.
///
/// # Errors
/// When it cannot be read.
pub(super) fn with_state(module: &[u8], state: &ModuleState) -> Result<Vec<u8>, BinaryReaderError> {
    let mut out = module
        .get(..binary::PREAMBLE_BYTES)
        .unwrap_or_default()
        .to_vec();
    let mut has_data = false;
    for section in sections(module)? {
        let contents = module.get(section.contents).unwrap_or_default();
        let contents = match section.id {
            START => continue,
            MEMORY => memories(contents, &state.pages)?,
            GLOBAL => globals(contents, imported_globals(module)?, &state.globals)?,
            DATA_COUNT => {
                let count = BinaryReader::new(contents, 0).read_var_u32()?;
                let mut out = Vec::new();
                leb128(&mut out, u64::from(count) + state.data.len() as u64);
                out
            }
            DATA => {
                has_data = true;
                data(contents, &state.data)?
            }
            _ => contents.to_vec(),
        };
        binary::push(&mut out, section.id, &contents);
    }
    if !has_data && !state.data.is_empty() {
        binary::push(&mut out, DATA, &data(&[0], &state.data)?);
    }
    Ok(out)
}

fn memories(section: &[u8], pages: &[u64]) -> Result<Vec<u8>, BinaryReaderError> {
    let memories = wasmparser::MemorySectionReader::new(BinaryReader::new(section, 0))?;
    let mut out = Vec::new();
    leb128(&mut out, memories.count().into());
    for (memory, pages) in memories.into_iter().zip(pages) {
        memory_type(
            &mut out,
            &MemoryType {
                initial: *pages,
                ..memory?
            },
        );
    }
    Ok(out)
}

/// Writes the type of a memory: its flags, and what they announce.
fn memory_type(out: &mut Vec<u8>, ty: &MemoryType) {
    let flags = u8::from(ty.maximum.is_some())
        | u8::from(ty.shared) << 1
        | u8::from(ty.memory64) << 2
        | u8::from(ty.page_size_log2.is_some()) << 3;
    out.push(flags);
    leb128(out, ty.initial);
    if let Some(maximum) = ty.maximum {
        leb128(out, maximum);
    }
    if let Some(log2) = ty.page_size_log2 {
        leb128(out, log2.into());
    }
}

fn imported_globals(module: &[u8]) -> Result<u32, BinaryReaderError> {
    let mut globals = 0;
    for payload in wasmparser::Parser::new(0).parse_all(module) {
        match payload? {
            wasmparser::Payload::ImportSection(imports) => {
                for import in imports.into_imports() {
                    globals += u32::from(matches!(import?.ty, wasmparser::TypeRef::Global(_)));
                }
            }
            wasmparser::Payload::GlobalSection(_) => break,
            _ => {}
        }
    }
    Ok(globals)
}

fn globals(section: &[u8], first: u32, state: &BTreeMap<u32, Number>) -> Result<Vec<u8>, BinaryReaderError> {
    let globals = wasmparser::GlobalSectionReader::new(BinaryReader::new(section, 0))?;
    let mut out = Vec::new();
    leb128(&mut out, globals.count().into());
    for (index, global) in (first..).zip(globals.into_iter_with_offsets()) {
        let (at, global) = global?;
        let expression = global.init_expr.get_binary_reader().range();
        match state.get(&index) {
            Some(number) => {
                out.extend_from_slice(section.get(at..expression.start).unwrap_or_default());
                constant(&mut out, *number);
            }
            None => out.extend_from_slice(section.get(at..expression.end).unwrap_or_default()),
        }
    }
    Ok(out)
}

/// Writes a constant expression.
fn constant(out: &mut Vec<u8>, number: Number) {
    match number {
        Number::I32(number) => {
            out.push(0x41);
            signed_leb128(out, number.into());
        }
        Number::I64(number) => {
            out.push(0x42);
            signed_leb128(out, number);
        }
        Number::F32(bits) => {
            out.push(0x43);
            out.extend_from_slice(&bits.to_le_bytes());
        }
        Number::F64(bits) => {
            out.push(0x44);
            out.extend_from_slice(&bits.to_le_bytes());
        }
        Number::V128(bits) => {
            out.extend_from_slice(&[0xFD, 0x0C]);
            out.extend_from_slice(&bits.to_le_bytes());
        }
    }
    out.push(END);
}

/// A data section in which segments that have been copied are empty, so that indices hold, with others behind.
fn data(section: &[u8], state: &[Segment]) -> Result<Vec<u8>, BinaryReaderError> {
    /// A segment that is copied when the code says so, of no bytes: what one that has been copied is.
    const COPIED: [u8; 2] = [1, 0];
    let segments = wasmparser::DataSectionReader::new(BinaryReader::new(section, 0))?;
    let mut out = Vec::new();
    leb128(&mut out, u64::from(segments.count()) + state.len() as u64);
    for segment in segments {
        let segment = segment?;
        match segment.kind {
            DataKind::Active { .. } => out.extend_from_slice(&COPIED),
            DataKind::Passive => out.extend_from_slice(section.get(segment.range).unwrap_or_default()),
        }
    }
    for segment in state {
        // Copied at the start, into the memory that is named.
        out.push(2);
        leb128(&mut out, segment.memory.into());
        let at = segment.at.cast_signed();
        constant(
            &mut out,
            if segment.is_wide {
                Number::I64(at)
            } else {
                // Addresses above two gigabytes are negative.
                let [a, b, c, d, ..] = at.to_le_bytes();
                Number::I32(i32::from_le_bytes([a, b, c, d]))
            },
        );
        leb128(&mut out, segment.bytes.len() as u64);
        out.extend_from_slice(&segment.bytes);
    }
    Ok(out)
}
