//! A component as far as it can be told without compiling it: its imports and exports, and the memory that an instance
//! begins with.

use wasmparser::{
    BinaryReaderError, ComponentAlias, ComponentExternalKind, ComponentInstance, ComponentOuterAliasKind, DataKind,
    Encoding, Instance, Parser, Payload,
};

use super::imports::Imports;

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

/// The size of an instance before any of its code has run.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Start {
    /// Bytes of its memories and tables.
    pub(super) memory: u64,
    /// Bytes of its globals.
    pub(super) globals: u64,
    /// Instances of core modules.
    pub(super) core_instances: u64,
    /// Instances of components in it that have code.
    pub(super) components: u64,
    /// Memories of its own.
    pub(super) memories: u64,
    /// Tables of its own.
    pub(super) tables: u64,
    /// Functions, with those that its modules import.
    pub(super) functions: u64,
    /// Instances of the modules that are counted.
    pub(super) counted: u64,
    /// A component that came as a value is in it, of which nothing is known.
    pub(super) is_unknown: bool,
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

impl Start {
    fn add(&mut self, other: Self) {
        *self = self.with(other, u64::saturating_add);
    }

    fn max(self, other: Self) -> Self {
        self.with(other, u64::max)
    }

    fn with(self, other: Self, join: fn(u64, u64) -> u64) -> Self {
        Self {
            memory: join(self.memory, other.memory),
            globals: join(self.globals, other.globals),
            core_instances: join(self.core_instances, other.core_instances),
            components: join(self.components, other.components),
            memories: join(self.memories, other.memories),
            tables: join(self.tables, other.tables),
            functions: join(self.functions, other.functions),
            counted: join(self.counted, other.counted),
            is_unknown: self.is_unknown || other.is_unknown,
        }
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
        assert_eq!(survey.start.components, 1);
        assert_eq!(survey.start.memories, 3);
        assert_eq!(survey.start.tables, 2);
        assert_eq!(survey.active_data, 3);
        assert!(survey.has_code);
    }

    #[test]
    fn a_module_counts_as_itself_under_another_name_and_as_the_largest_when_it_comes_as_a_value() {
        let outer = survey(
            r#"(component $all
                (core module $m (memory 0) (memory 0) (global i64 (i64.const 1)))
                (component $inner
                    (alias outer $all $m (core module $m))
                    (core instance (instantiate $m)))
                (instance (instantiate $inner))
                (instance (instantiate $inner)))"#,
        );
        assert_eq!(outer.start.memories, 4);
        assert_eq!(outer.start.globals, 2 * GLOBAL_BYTES);
        let value = survey(
            r#"(component
                (component $inner
                    (import "m" (core module $m))
                    (core instance (instantiate $m)))
                (core module $m (memory 0) (memory 0))
                (instance (instantiate $inner (with "m" (core module $m)))))"#,
        );
        assert_eq!(value.start.memories, 2);
        assert!(!value.start.is_unknown);
    }

    #[test]
    fn what_a_component_that_comes_as_a_value_holds_is_not_known() {
        let survey = survey(
            r#"(component
                (component $inner
                    (import "c" (component $c))
                    (instance (instantiate $c)))
                (component $c)
                (instance (instantiate $inner (with "c" (component $c)))))"#,
        );
        assert!(survey.start.is_unknown);
    }

    #[test]
    fn an_interface_of_which_only_types_are_named_needs_nothing_of_the_host() {
        let component = r#"(component
            (import "a:types/only@0.3.0" (instance $types
                (type $code (enum "one" "two"))
                (export "code" (type (eq $code)))))
            (alias export $types "code" (type $code))
            (import "a:types/alias@0.3.0" (instance
                (alias outer 1 $code (type $code))
                (export "code" (type (eq $code)))))
            (import "a:resource/type@0.3.0" (instance (export "thing" (type (sub resource)))))
            (import "a:function/too@0.3.0" (instance
                (export "code" (type (eq $code)))
                (export "run" (func))))
            (import "nothing" (instance))
            (import "just-a-type" (type (eq $code)))
            (import "a-resource" (type (sub resource)))
            (import "run" (func)))"#;
        let survey = Survey::parse(&wat::parse_str(component).unwrap()).unwrap();
        let needed = [
            "a:resource/type@0.3.0",
            "a:function/too@0.3.0",
            "a-resource",
            "run",
        ];
        assert_eq!(survey.imports, needed);
    }
}
