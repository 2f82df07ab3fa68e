//! A component as far as it can be told without compiling it: its imports and exports, and the memory that an instance
//! begins with.

use wasmparser::{
    BinaryReaderError, ComponentAlias, ComponentExternalKind, ComponentInstance, ComponentOuterAliasKind, DataKind,
    Encoding, Instance, Parser, Payload,
};

/// The cost of a table element to the host, in bytes: a pointer.
const TABLE_ELEMENT_BYTES: u64 = 8;

/// Bytes of a page of a memory that says no other size.
const PAGE_LOG2: u32 = 16;

/// A component as its bytes tell it.
#[derive(Debug, Default)]
pub(super) struct Survey {
    /// Names of the imports.
    pub(super) imports: Vec<String>,
    /// Names of the exports.
    pub(super) exports: Vec<String>,
    /// Bytes of all data segments that are copied at instantiation, over all modules in the component.
    pub(super) active_data: u64,
    /// The start of every instance, at the least: what is not told by the bytes alone counts as nothing.
    pub(super) start: Start,
    /// There is code in it.
    pub(super) has_code: bool,
}

/// The size of an instance before any of its code has run.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Start {
    /// Bytes of its memories and tables.
    pub(super) memory: u64,
    /// Instances of core modules.
    pub(super) core_instances: u64,
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
        let mut survey = Self::default();
        let mut open = Vec::<Open>::new();
        for payload in Parser::new(0).parse_all(bytes) {
            survey.read(payload?, &mut open)?;
        }
        Ok(survey)
    }

    fn read(&mut self, payload: Payload<'_>, open: &mut Vec<Open>) -> Result<(), BinaryReaderError> {
        match &payload {
            Payload::Version { encoding, .. } => {
                let is_module = *encoding == Encoding::Module;
                self.has_code |= is_module;
                open.push(Open {
                    is_module,
                    ..Open::default()
                });
            }
            Payload::End(_) => self.close(open),
            Payload::ComponentImportSection(imports) if open.len() == 1 => {
                for import in imports.clone() {
                    self.imports.push(import?.name.name.to_owned());
                }
            }
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
        match open.last_mut() {
            Some(innermost) if innermost.is_module => innermost.read_module(payload),
            Some(innermost) => innermost.read_component(payload),
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
            Some(parent) if is_module => parent.modules.push(start),
            Some(parent) => parent.components.push(start),
            None => self.start = start,
        }
    }
}

impl Open {
    fn read_module(&mut self, payload: Payload<'_>) -> Result<(), BinaryReaderError> {
        match payload {
            Payload::MemorySection(memories) => {
                for memory in memories {
                    let memory = memory?;
                    let page = 1_u64.checked_shl(memory.page_size_log2.unwrap_or(PAGE_LOG2));
                    let bytes = memory.initial.saturating_mul(page.unwrap_or(u64::MAX));
                    self.start.memory = self.start.memory.saturating_add(bytes);
                }
            }
            Payload::TableSection(tables) => {
                for table in tables {
                    let bytes = table?.ty.initial.saturating_mul(TABLE_ELEMENT_BYTES);
                    self.start.memory = self.start.memory.saturating_add(bytes);
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn read_component(&mut self, payload: Payload<'_>) -> Result<(), BinaryReaderError> {
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
                        self.start.add(at(&self.components, component_index));
                    }
                }
            }
            Payload::ComponentAliasSection(aliases) => {
                for alias in aliases {
                    match alias? {
                        ComponentAlias::InstanceExport { kind, .. } => self.unknown(kind),
                        ComponentAlias::Outer { kind, .. } => match kind {
                            ComponentOuterAliasKind::CoreModule => {
                                self.unknown(ComponentExternalKind::Module);
                            }
                            ComponentOuterAliasKind::Component => {
                                self.unknown(ComponentExternalKind::Component);
                            }
                            ComponentOuterAliasKind::CoreType | ComponentOuterAliasKind::Type => {}
                        },
                        ComponentAlias::CoreInstanceExport { .. } => {}
                    }
                }
            }
            Payload::ComponentImportSection(imports) => {
                for import in imports {
                    self.unknown(import?.ty.kind());
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

    /// Gives an index to what comes from elsewhere.
    fn unknown(&mut self, kind: ComponentExternalKind) {
        match kind {
            ComponentExternalKind::Module => self.modules.push(Start::default()),
            ComponentExternalKind::Component => self.components.push(Start::default()),
            _ => {}
        }
    }
}

impl Start {
    fn add(&mut self, other: Self) {
        self.memory = self.memory.saturating_add(other.memory);
        self.core_instances = self.core_instances.saturating_add(other.core_instances);
    }
}

fn at(known: &[Start], index: u32) -> Start {
    usize::try_from(index)
        .ok()
        .and_then(|index| known.get(index))
        .copied()
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn survey(text: &str) -> Survey {
        Survey::parse(&wat::parse_str(text).unwrap()).unwrap()
    }

    #[test]
    fn the_names_of_the_outermost_component_are_told() {
        let survey = survey(
            r#"(component
                (import "a:b/c@0.2.0" (instance))
                (component (import "not:this/one" (instance)))
                (instance $i) (export "d:e/f@1.0.0" (instance $i)))"#,
        );
        assert_eq!(survey.imports, ["a:b/c@0.2.0"]);
        assert_eq!(survey.exports, ["d:e/f@1.0.0"]);
        assert!(!survey.has_code);
    }

    #[test]
    fn memory_counts_as_often_as_it_is_instantiated_and_no_more() {
        let survey = survey(
            r#"(component
                (core module $unused (memory 1000))
                (core module $two (memory 2) (table 100 funcref) (data (i32.const 0) "abc") (data "passive"))
                (component $inner
                    (core module $one (memory 1))
                    (core instance (instantiate $one)))
                (core instance (instantiate $two))
                (core instance (instantiate $two))
                (instance (instantiate $inner)))"#,
        );
        assert_eq!(survey.start.memory, (2 * 2 + 1) * 65_536 + 2 * 100 * 8);
        assert_eq!(survey.start.core_instances, 3);
        assert_eq!(survey.active_data, 3);
        assert!(survey.has_code);
    }
}
