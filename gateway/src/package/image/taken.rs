//! Extracts a component's initial data.

use std::{collections::BTreeMap, ops::Range};

use rustix::param::page_size;
use wasmparser::{BinaryReaderError, Data, DataKind, FunctionBody, MemoryType, Operator, Parser, Payload, TypeRef};

use super::{
    super::binary::{COMPONENT, CORE_MODULE, sections},
    without::{Emptied, without},
};
use crate::engine::ImagedMemory;

/// The minimum of data in a memory for an image: copying less is cheaper than dedicated slots.
pub(super) const LEAST_BYTES: u64 = 128 << 10;

/// The maximum of zeros in an image, before and between data: they are written to disk.
const MOST_ZEROS: u64 = 32 << 20;

/// The maximum size of an image: a gigabyte of data is not a plausible program.
const MOST_BYTES: u64 = 1 << 30;

/// The maximum nesting of components.
const MOST_NESTED: usize = 16;

/// The default page size of a memory.
const WASM_PAGE_BYTES: u64 = 1 << 16;

/// A component whose data was extracted.
#[derive(Debug)]
pub(super) struct Taken {
    /// The component without the data.
    pub(super) component: Vec<u8>,
    /// The images, one per memory that has one.
    pub(super) images: Vec<MemoryImage>,
}

/// The initial contents of a memory.
#[derive(Debug)]
pub(super) struct MemoryImage {
    /// The memory.
    pub memory: ImagedMemory,
    /// The offset of its module in the original component.
    pub module: usize,
    /// Bytes of data in them.
    pub data: u64,
    /// The contents up to the last page that is not zero.
    pub contents: Vec<u8>,
}

impl Taken {
    /// Extracts the data of a component, for memories with enough constant data.
    ///
    /// # Errors
    /// When the bytes are not valid WebAssembly; the compiler reports it better.
    pub(super) fn out_of(component: &[u8]) -> Result<Option<Self>, BinaryReaderError> {
        let mut modules = Vec::new();
        collect(component, 0, 0, &mut modules)?;
        let mut images = Vec::new();
        let mut emptied = BTreeMap::<usize, Emptied>::new();
        for module in &modules {
            for (index, memory) in (module.imported..).zip(&module.memories) {
                if let Some(image) = memory.image(module.at, component)
                    && is_alone(memory, &modules)
                {
                    images.push(image);
                    let emptied = emptied.entry(module.at).or_default();
                    emptied.memories.push(index);
                    emptied.keeps_places = module.names_segments;
                }
            }
        }
        if images.is_empty() {
            return Ok(None);
        }
        let component = without(component, 0, &emptied)?;
        Ok(Some(Self { component, images }))
    }
}

/// Returns whether a memory is unique by its type: nothing else is known of a memory when it is allocated.
fn is_alone(memory: &Memory, modules: &[Module]) -> bool {
    let memories = modules.iter().flat_map(|module| &module.memories);
    memories
        .filter(|other| (other.ty.initial, other.ty.maximum) == (memory.ty.initial, memory.ty.maximum))
        .count()
        == 1
}

/// A module with its offset.
struct Module {
    at: usize,
    imported: u32,
    memories: Vec<Memory>,
    /// An instruction refers to a data segment by its index.
    names_segments: bool,
}

/// A memory that a module defines.
struct Memory {
    ty: MemoryType,
    /// The addresses and bytes of its data, in the order of copying.
    data: Vec<(u64, Range<usize>)>,
    /// Some of its data has an address that is not constant.
    is_unknown: bool,
}

impl Memory {
    /// Its image, if its data is constant and large enough.
    fn image(&self, module: usize, component: &[u8]) -> Option<MemoryImage> {
        let ty = &self.ty;
        if self.is_unknown || ty.memory64 || ty.shared || ty.page_size_log2.is_some() {
            return None;
        }
        let minimum = ty.initial.checked_mul(WASM_PAGE_BYTES)?;
        let (mut end, mut data) = (0_u64, 0_u64);
        for (at, range) in &self.data {
            let length = u64::try_from(range.len()).ok()?;
            end = end.max(at.checked_add(length)?);
            data = data.saturating_add(length);
        }
        // Data beyond the memory traps at instantiation, which must be preserved.
        if end > minimum || data < LEAST_BYTES || end > MOST_BYTES || end.saturating_sub(data) > MOST_ZEROS {
            return None;
        }
        let image_bytes = usize::try_from(end).ok()?.next_multiple_of(page_size());
        let mut contents = vec![0; image_bytes];
        for (at, range) in &self.data {
            let at = usize::try_from(*at).ok()?;
            contents
                .get_mut(at..at + range.len())?
                .copy_from_slice(component.get(range.clone())?);
        }
        let memory = ImagedMemory {
            minimum_bytes: usize::try_from(minimum).ok()?,
            maximum_pages: ty.maximum,
            image_bytes,
        };
        Some(MemoryImage {
            memory,
            module,
            data,
            contents,
        })
    }
}

/// Reads the modules of a component at offset `at`.
fn collect(component: &[u8], at: usize, depth: usize, modules: &mut Vec<Module>) -> Result<(), BinaryReaderError> {
    for section in sections(component)? {
        let at = at + section.contents.start;
        let contents = component.get(section.contents).unwrap_or_default();
        match section.id {
            CORE_MODULE => modules.push(Module::read(contents, at)?),
            COMPONENT if depth < MOST_NESTED => collect(contents, at, depth + 1, modules)?,
            _ => {}
        }
    }
    Ok(())
}

impl Module {
    fn read(bytes: &[u8], at: usize) -> Result<Self, BinaryReaderError> {
        let mut module = Self {
            at,
            imported: 0,
            memories: Vec::new(),
            names_segments: false,
        };
        // Without that section no instruction may refer to a segment.
        let mut is_counted = false;
        let offset = u64::try_from(at).unwrap_or(u64::MAX);
        for payload in Parser::new(offset).parse_all(bytes) {
            match payload? {
                Payload::ImportSection(imports) => {
                    for import in imports.into_imports() {
                        module.imported += u32::from(matches!(import?.ty, TypeRef::Memory(_)));
                    }
                }
                Payload::MemorySection(memories) => {
                    for ty in memories {
                        module.memories.push(Memory {
                            ty: ty?,
                            data: Vec::new(),
                            is_unknown: false,
                        });
                    }
                }
                Payload::DataCountSection { .. } => is_counted = true,
                Payload::CodeSectionEntry(body) if is_counted && !module.names_segments => {
                    module.names_segments = names_segments(&body)?;
                }
                Payload::DataSection(segments) => {
                    for segment in segments {
                        module.add(&segment?)?;
                    }
                }
                _ => {}
            }
        }
        Ok(module)
    }

    fn add(&mut self, segment: &Data<'_>) -> Result<(), BinaryReaderError> {
        let DataKind::Active {
            memory_index,
            offset_expr,
        } = &segment.kind
        else {
            return Ok(());
        };
        let defined = memory_index
            .checked_sub(self.imported)
            .and_then(|index| usize::try_from(index).ok());
        let Some(memory) = defined.and_then(|index| self.memories.get_mut(index)) else {
            return Ok(());
        };
        let mut operators = offset_expr.get_operators_reader();
        match (operators.read()?, operators.read()?) {
            (Operator::I32Const { value }, Operator::End) => {
                let bytes = segment.range.end - segment.data.len()..segment.range.end;
                memory.data.push((u64::from(value.cast_unsigned()), bytes));
            }
            _ => memory.is_unknown = true,
        }
        Ok(())
    }
}

/// Returns whether a function refers to a data segment by its index.
fn names_segments(body: &FunctionBody<'_>) -> Result<bool, BinaryReaderError> {
    let mut operators = body.get_operators_reader()?;
    while !operators.eof() {
        if let Operator::MemoryInit { .. }
        | Operator::DataDrop { .. }
        | Operator::ArrayNewData { .. }
        | Operator::ArrayInitData { .. } = operators.read()?
        {
            return Ok(true);
        }
    }
    Ok(false)
}
