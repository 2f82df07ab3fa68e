//! The data of a component's memories, taken out of its modules: instances map it instead of having it copied.
//!
//! A data segment that is copied when an instance begins is part of the memory's first contents if its place is a
//! constant. Such segments become the memory's image, and are left empty in the module, so that indices hold.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{self, Read},
    ops::Range,
    sync::Arc,
};

use rustix::param::page_size;
use wasmparser::{BinaryReader, BinaryReaderError, Data, DataKind, MemoryType, Operator, Parser, Payload, TypeRef};

use super::{
    binary::{COMPONENT, CORE_MODULE, DATA, leb128, rewrite, sections},
    cache::CompiledCode,
    survey::Survey,
};
use crate::engine::{self, ImagedMemory, Images};

/// Data of one memory from which on it is made an image: less is copied faster than a slot of its own is worth.
const LEAST_BYTES: u64 = 128 << 10;

/// The most that an image has of zeros between and before data: an image is written out.
const MOST_ZEROS: u64 = 32 << 20;

/// The largest image: a gigabyte of data is a mistake rather than a program.
const MOST_BYTES: u64 = 1 << 30;

/// Components within components that are looked into.
const MOST_NESTED: usize = 16;

/// Bytes of a page of a memory that says no other size.
const WASM_PAGE_BYTES: u64 = 1 << 16;

/// A component whose data is in images.
#[derive(Debug)]
pub(super) struct Imaged {
    /// The component without it.
    pub component: Vec<u8>,
    /// The images, one for each memory that has one.
    pub images: Vec<MemoryImage>,
    /// Such memories of one instance.
    memories: usize,
}

/// The first contents of a memory.
#[derive(Debug)]
pub(super) struct MemoryImage {
    /// The memory whose they are.
    pub memory: ImagedMemory,
    /// Where its module begins in the component that was read.
    pub module: usize,
    /// Bytes of data in them.
    pub data: u64,
    /// The first bytes, to the end of the page of the last that is not zero by itself.
    pub contents: Vec<u8>,
}

/// The images that are kept behind compiled code, in their order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct ImagePlan {
    of: Vec<ImagedMemory>,
    /// Such memories of one instance.
    memories: usize,
}

impl ImagePlan {
    /// Returns whether there is none.
    pub(super) fn is_empty(&self) -> bool {
        self.of.is_empty()
    }

    /// Their bytes.
    pub(super) fn bytes(&self) -> u64 {
        self.of.iter().map(|of| of.image_bytes as u64).sum()
    }

    /// The images that are behind this code, or none if there is none.
    ///
    /// # Errors
    /// When they cannot be mapped.
    pub(super) fn open(&self, code: &CompiledCode) -> io::Result<Option<Arc<Images>>> {
        if self.is_empty() {
            return Ok(None);
        }
        let file = File::open(code.path())?;
        let at = code.bytes().saturating_sub(self.bytes());
        let images = engine::open_images(&file, at, &self.of, self.memories)?;
        Ok(Some(Arc::new(images)))
    }
}

impl Imaged {
    /// A component without its data, where it has enough of it and every instance has memories for it.
    ///
    /// # Errors
    /// When the bytes cannot be read as WebAssembly; the compiler will say it better.
    pub(super) fn of(component: &[u8], survey: &Survey) -> Result<Option<Self>, BinaryReaderError> {
        if survey.active_data < LEAST_BYTES || survey.start.is_unknown {
            return Ok(None);
        }
        let Some(mut imaged) = take_out(component)? else {
            return Ok(None);
        };
        let modules = imaged.images.iter().map(|image| image.module).collect();
        let counted = Survey::parse_counting(component, modules)?.start.counted;
        imaged.memories = usize::try_from(counted).unwrap_or(usize::MAX);
        Ok(Some(imaged).filter(|imaged| imaged.memories > 0))
    }

    /// Bytes of data that need not be copied any more.
    pub(super) fn data(&self) -> u64 {
        self.images.iter().map(|image| image.data).sum()
    }

    /// The images as they are behind the code.
    pub(super) fn plan(&self) -> ImagePlan {
        ImagePlan {
            of: self.images.iter().map(|image| image.memory).collect(),
            memories: self.memories,
        }
    }

    /// The images, to be written behind code of this length: each begins with a page.
    pub(super) fn behind(&self, code: u64) -> impl Read {
        let page = page_size() as u64;
        let padding: Box<dyn Read + '_> = Box::new(io::repeat(0).take(code.next_multiple_of(page) - code));
        let images = self.images.iter().map(|image| image.contents.as_slice());
        images.fold(padding, |before, image| Box::new(before.chain(image)))
    }
}

/// Takes the data out of a component, where there is enough of it in a memory whose contents are known.
///
/// # Errors
/// When the bytes cannot be read as WebAssembly; the compiler will say it better.
pub(super) fn take_out(component: &[u8]) -> Result<Option<Imaged>, BinaryReaderError> {
    let mut modules = Vec::new();
    collect(component, 0, 0, &mut modules)?;
    let mut images = Vec::new();
    let mut emptied = BTreeMap::<usize, Vec<u32>>::new();
    for module in &modules {
        for (index, memory) in (module.imported..).zip(&module.memories) {
            if let Some(image) = memory.image(module.at, component)
                && is_alone(memory, &modules)
            {
                images.push(image);
                emptied.entry(module.at).or_default().push(index);
            }
        }
    }
    if images.is_empty() {
        return Ok(None);
    }
    let component = without(component, 0, &emptied)?;
    Ok(Some(Imaged {
        component,
        images,
        memories: 0,
    }))
}

/// Returns whether a memory is told from all others by its type: no more is known of a memory that is made.
fn is_alone(memory: &Memory, modules: &[Module]) -> bool {
    let memories = modules.iter().flat_map(|module| &module.memories);
    memories
        .filter(|other| (other.ty.initial, other.ty.maximum) == (memory.ty.initial, memory.ty.maximum))
        .count()
        == 1
}

/// A module, and where it begins.
struct Module {
    at: usize,
    imported: u32,
    memories: Vec<Memory>,
}

/// A memory that a module defines.
struct Memory {
    ty: MemoryType,
    /// The places and bytes of its data, in the order in which they are copied.
    data: Vec<(u64, Range<usize>)>,
    /// The place of some of its data is not a constant.
    is_unknown: bool,
}

impl Memory {
    /// Its image, if what it begins with is known and large enough.
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
        // Data beyond the memory is a trap, which the module itself has to make.
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

/// Reads the modules of a component that begins at `at` in all.
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
        };
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

/// A component that begins at `at` in all, with the data of some memories of its modules left empty.
fn without(component: &[u8], at: usize, emptied: &BTreeMap<usize, Vec<u32>>) -> Result<Vec<u8>, BinaryReaderError> {
    let end = at + component.len();
    rewrite(component, |section, contents| {
        let at = at + section.contents.start;
        match section.id {
            CORE_MODULE => match emptied.get(&at) {
                Some(memories) => rewrite(contents, |section, contents| match section.id {
                    DATA => empty(contents, memories).map(Some),
                    _ => Ok(None),
                })
                .map(Some),
                None => Ok(None),
            },
            // Whatever holds none of these modules stays as it is, however deep it is.
            COMPONENT
                if emptied
                    .range(at..end.min(at + contents.len()))
                    .next()
                    .is_some() =>
            {
                without(contents, at, emptied).map(Some)
            }
            _ => Ok(None),
        }
    })
}

/// A data section without the data of some memories.
fn empty(section: &[u8], memories: &[u32]) -> Result<Vec<u8>, BinaryReaderError> {
    let segments = wasmparser::DataSectionReader::new(BinaryReader::new(section, 0))?;
    let mut out = Vec::new();
    leb128(&mut out, segments.count().into());
    for segment in segments {
        let segment = segment?;
        match &segment.kind {
            DataKind::Active {
                memory_index,
                offset_expr,
            } if memories.contains(memory_index) => {
                let place = segment.range.start..offset_expr.get_binary_reader().range().end;
                out.extend_from_slice(section.get(place).unwrap_or_default());
                leb128(&mut out, 0);
            }
            _ => out.extend_from_slice(section.get(segment.range).unwrap_or_default()),
        }
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use wasmtime::{Config, Engine, Instance, Module, Store};

    use super::{super::binary::PREAMBLE_BYTES, *};

    const LARGE: usize = 200_000;

    fn taken(text: &str) -> Option<Imaged> {
        take_out(&wat::parse_str(text).unwrap()).unwrap()
    }

    fn large(byte: char) -> String {
        byte.to_string().repeat(LARGE)
    }

    #[test]
    fn data_at_constant_places_becomes_an_image_and_the_rest_stays() {
        let (a, b) = (large('a'), large('b'));
        let imaged = taken(&format!(
            r#"(component
                (core module $small (memory 1) (data (i32.const 0) "few"))
                (component $inner
                    (core module $m
                        (import "env" "base" (global $base i32))
                        (memory 10 20)
                        (data (i32.const 10) "{a}")
                        (data "passive")
                        (data (i32.const 20) "over")
                        (func (memory.init 1 (i32.const 0) (i32.const 0) (i32.const 1))))
                    (core module $linked
                        (import "env" "base" (global $base i32))
                        (memory 11)
                        (data (global.get $base) "{b}"))))"#
        ))
        .unwrap();
        let [image] = imaged.images.try_into().ok().unwrap();
        assert_eq!(
            (image.memory.minimum_bytes, image.memory.maximum_pages),
            (10 << 16, Some(20))
        );
        assert_eq!(image.data, LARGE as u64 + 4);
        assert!(image.contents[LARGE + 10..].iter().all(|byte| *byte == 0));
        assert_eq!(&image.contents[..24], b"\0\0\0\0\0\0\0\0\0\0aaaaaaaaaaover");
        wasmparser::validate(&imaged.component).unwrap();
        assert!(
            imaged.component.len() < LARGE + 1000,
            "one module's data is left"
        );
        let text = data_of(&imaged.component);
        assert_eq!(text, (5, "few".len() + "passive".len() + LARGE));
    }

    /// The number of data segments in a component, and the bytes in them.
    fn data_of(component: &[u8]) -> (u32, usize) {
        let mut segments = (0, 0);
        for payload in Parser::new(0).parse_all(component) {
            if let Payload::DataSection(section) = payload.unwrap() {
                for segment in section {
                    segments = (segments.0 + 1, segments.1 + segment.unwrap().data.len());
                }
            }
        }
        segments
    }

    #[test]
    fn memories_that_cannot_be_told_apart_have_no_image() {
        let a = large('a');
        let both = format!(
            r#"(component
                (core module (memory 10) (data (i32.const 0) "{a}"))
                (core module (memory 10)))"#
        );
        assert!(taken(&both).is_none());
        assert!(taken(&both.replace("(memory 10)))", "(memory 11)))")).is_some());
    }

    #[test]
    fn what_a_trap_or_a_shared_or_wide_memory_needs_stays_in_the_module() {
        let a = large('a');
        for (memory, place) in [
            ("2", "i32.const 0"),
            ("10", "i32.const -1"),
            ("i64 10", "i64.const 0"),
            ("10 10 shared", "i32.const 0"),
            ("10 (pagesize 1)", "i32.const 0"),
            ("65536", "i32.const 1073741824"),
        ] {
            let text = format!(r#"(component (core module (memory {memory}) (data ({place}) "{a}")))"#);
            assert!(taken(&text).is_none(), "{memory} {place}");
        }
    }

    #[test]
    fn an_instance_of_the_rest_and_the_image_together_have_the_same_memory() {
        let a = large('a');
        let module = format!(
            r#"(module (memory (export "m") 10) (data (i32.const 100) "{a}") (data (i32.const 65536) "\00\ff"))"#
        );
        let engine = Engine::new(&Config::new()).unwrap();
        let component = format!("(component (core {}", &module[1..]) + ")";
        let imaged = taken(&component).unwrap();
        let [image] = imaged.images.try_into().ok().unwrap();
        let at = image.module;
        let original = wat::parse_str(&component).unwrap();
        assert_eq!(&original[at..at + 4], b"\0asm");
        let mut store = Store::new(&engine, ());
        let compiled = Module::new(&engine, wat::parse_str(&module).unwrap()).unwrap();
        let instance = Instance::new(&mut store, &compiled, &[]).unwrap();
        let memory = instance.get_memory(&mut store, "m").unwrap();
        let (data, rest) = memory.data(&store).split_at(image.contents.len());
        assert!(data == image.contents);
        assert!(rest.iter().all(|byte| *byte == 0));
    }

    #[test]
    fn bytes_that_end_too_early_are_an_error_and_deep_ones_are_left_alone() {
        let bytes = wat::parse_str("(component (core module (memory 1)))").unwrap();
        for end in 0..bytes.len() {
            let _ = take_out(&bytes[..end]);
        }
        let mut deep = wat::parse_str("(component)").unwrap();
        for _ in 0..1000 {
            let mut outer = deep[..PREAMBLE_BYTES].to_vec();
            outer.push(COMPONENT);
            leb128(&mut outer, deep.len() as u64);
            outer.extend(&deep);
            deep = outer;
        }
        assert!(take_out(&deep).unwrap().is_none());
    }
}
