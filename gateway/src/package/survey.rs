//! What can be learned of a component without compiling it: its imports and exports, and an instance's initial memory.

mod start;
#[cfg(test)]
mod tests;

use wasmparser::{
    BinaryReaderError, ComponentAlias, ComponentExternalKind, ComponentInstance, ComponentOuterAliasKind, DataKind,
    Encoding, Instance, Parser, Payload,
};

use super::imports::Imports;
pub(super) use start::Start;
use start::at;

/// The cost of a table element to the host, in bytes: a pointer.
const TABLE_ELEMENT_BYTES: u64 = 8;

/// The cost of a global to the host, in bytes: room for a vector.
const GLOBAL_BYTES: u64 = 16;

/// Bytes of a page of a memory that says no other size.
const PAGE_LOG2: u32 = 16;

/// A component as its bytes tell it.
#[derive(Debug, Default)]
pub(super) struct Survey {
    /// Names of the imports that it needs something of.
    pub(super) imports: Vec<String>,
    /// Names of the exports.
    pub(super) exports: Vec<String>,
    /// Bytes of all data segments that are copied at instantiation, over all modules in the component.
    pub(super) active_data: u64,
    /// The start of every instance, at the most: a module that is passed on as a value counts as the largest of all.
    pub(super) start: Start,
    /// There is code in it.
    pub(super) has_code: bool,
    /// Where the modules begin whose instances are counted.
    counted: Vec<usize>,
    /// The largest module in every respect.
    largest: Start,
}

/// A component or module whose end has not been read.
#[derive(Default)]
struct Open {
    is_module: bool,
    start: Start,
    /// By their indices; what comes from elsewhere is not known.
    modules: Vec<Start>,
    components: Vec<Start>,
}

impl Survey {
    /// Reads a component's bytes.
    ///
    /// # Errors
    /// When they cannot be read as WebAssembly; the compiler will say it better.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, BinaryReaderError> {
        Self::parse_counting(bytes, Vec::new())
    }

    /// As [`parse`](Self::parse), and counts the instances of the modules that begin at these places, as often as they
    /// are named.
    pub(super) fn parse_counting(bytes: &[u8], counted: Vec<usize>) -> Result<Self, BinaryReaderError> {
        let first = Self::parse_with(bytes, Start::default(), counted)?;
        // Which module is the largest is known only at the end.
        Self::parse_with(bytes, first.largest, first.counted)
    }

    fn parse_with(bytes: &[u8], largest: Start, counted: Vec<usize>) -> Result<Self, BinaryReaderError> {
        let mut survey = Self {
            largest,
            counted,
            ..Self::default()
        };
        let (mut open, mut imports) = (Vec::<Open>::new(), Imports::default());
        for payload in Parser::new(0).parse_all(bytes) {
            let payload = payload?;
            if open.len() == 1 {
                imports.read(&payload)?;
            }
            survey.read(payload, &mut open)?;
        }
        survey.imports = imports.into_names();
        Ok(survey)
    }

    fn read(&mut self, payload: Payload<'_>, open: &mut Vec<Open>) -> Result<(), BinaryReaderError> {
        match &payload {
            Payload::Version {
                encoding, range, ..
            } => {
                let is_module = *encoding == Encoding::Module;
                self.has_code |= is_module;
                let counted = self.counted.iter().filter(|at| **at == range.start).count();
                open.push(Open {
                    is_module,
                    start: Start {
                        counted: counted as u64,
                        ..Start::default()
                    },
                    ..Open::default()
                });
            }
            Payload::End(_) => self.close(open),
            Payload::ComponentExportSection(exports) if open.len() == 1 => {
                for export in exports.clone() {
                    self.exports.push(export?.name.name.to_owned());
                }
            }
            Payload::DataSection(segments) => {
                for segment in segments.clone() {
                    let segment = segment?;
                    if matches!(segment.kind, DataKind::Active { .. }) {
                        self.active_data += segment.data.len() as u64;
                    }
                }
            }
            _ => {}
        }
        match open.split_last_mut() {
            Some((innermost, _)) if innermost.is_module => innermost.read_module(payload),
            Some((innermost, outer)) => innermost.read_component(payload, outer, self.largest),
            None => Ok(()),
        }
    }

    fn close(&mut self, open: &mut Vec<Open>) {
        let Some(Open {
            is_module, start, ..
        }) = open.pop()
        else {
            return;
        };
        match open.last_mut() {
            Some(parent) if is_module => {
                self.largest = self.largest.max(start);
                parent.modules.push(start);
            }
            Some(parent) => parent.components.push(start),
            None => self.start = start,
        }
    }
}

impl Open {
    fn read_module(&mut self, payload: Payload<'_>) -> Result<(), BinaryReaderError> {
        match payload {
            Payload::MemorySection(memories) => {
                self.start.memories += u64::from(memories.count());
                for memory in memories {
                    let memory = memory?;
                    let page = 1_u64.checked_shl(memory.page_size_log2.unwrap_or(PAGE_LOG2));
                    let bytes = memory.initial.saturating_mul(page.unwrap_or(u64::MAX));
                    self.start.memory = self.start.memory.saturating_add(bytes);
                }
            }
            Payload::TableSection(tables) => {
                self.start.tables += u64::from(tables.count());
                for table in tables {
                    let bytes = table?.ty.initial.saturating_mul(TABLE_ELEMENT_BYTES);
                    self.start.memory = self.start.memory.saturating_add(bytes);
                }
            }
            Payload::GlobalSection(globals) => self.start.globals += u64::from(globals.count()) * GLOBAL_BYTES,
            Payload::FunctionSection(functions) => self.start.functions += u64::from(functions.count()),
            Payload::ImportSection(imports) => self.start.functions += u64::from(imports.count()),
            _ => {}
        }
        Ok(())
    }

    /// Reads a part of a component within `outer` ones, the outermost first.
    fn read_component(
        &mut self,
        payload: Payload<'_>,
        outer: &[Open],
        largest: Start,
    ) -> Result<(), BinaryReaderError> {
        match payload {
            Payload::InstanceSection(instances) => {
                for instance in instances {
                    if let Instance::Instantiate { module_index, .. } = instance? {
                        let mut start = at(&self.modules, module_index);
                        start.core_instances = 1;
                        self.start.add(start);
                    }
                }
            }
            Payload::ComponentInstanceSection(instances) => {
                for instance in instances {
                    if let ComponentInstance::Instantiate {
                        component_index, ..
                    } = instance?
                    {
                        let mut start = at(&self.components, component_index);
                        start.components += u64::from(start.core_instances > 0);
                        self.start.add(start);
                    }
                }
            }
            Payload::ComponentAliasSection(aliases) => {
                for alias in aliases {
                    match alias? {
                        ComponentAlias::InstanceExport { kind, .. } => self.unknown(kind, largest),
                        ComponentAlias::Outer { kind, count, index } => self.outer(kind, count, index, outer),
                        ComponentAlias::CoreInstanceExport { .. } => {}
                    }
                }
            }
            Payload::ComponentImportSection(imports) => {
                for import in imports {
                    self.unknown(import?.ty.kind(), largest);
                }
            }
            // An export is an index of its own for what it names.
            Payload::ComponentExportSection(exports) => {
                for export in exports {
                    let export = export?;
                    match export.kind {
                        ComponentExternalKind::Module => {
                            self.modules.push(at(&self.modules, export.index));
                        }
                        ComponentExternalKind::Component => {
                            self.components.push(at(&self.components, export.index));
                        }
                        _ => {}
                    }
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// Gives an index to what comes from a component around this one.
    fn outer(&mut self, kind: ComponentOuterAliasKind, count: u32, index: u32, outer: &[Self]) {
        let of = usize::try_from(count)
            .ok()
            .and_then(|count| outer.len().checked_sub(count))
            .and_then(|at| outer.get(at));
        match kind {
            ComponentOuterAliasKind::CoreModule => {
                let start = at(of.map_or(&self.modules, |of| &of.modules), index);
                self.modules.push(start);
            }
            ComponentOuterAliasKind::Component => {
                let start = at(of.map_or(&self.components, |of| &of.components), index);
                self.components.push(start);
            }
            ComponentOuterAliasKind::CoreType | ComponentOuterAliasKind::Type => {}
        }
    }

    /// Gives an index to what comes from elsewhere.
    fn unknown(&mut self, kind: ComponentExternalKind, largest: Start) {
        match kind {
            ComponentExternalKind::Module => self.modules.push(largest),
            ComponentExternalKind::Component => self.components.push(Start {
                is_unknown: true,
                ..Start::default()
            }),
            _ => {}
        }
    }
}
