//! Scans a module for its state, and for what rules out a snapshot.

use wasmparser::{MemoryType, Operator, Parser, Payload, TypeRef, ValType};

use super::{NoSnapshot, Why};

/// A section that Go's own linker writes into each module.
const GO: &str = "go:buildid";

/// What of a module has a state.
#[derive(Default)]
pub(super) struct Shape {
    /// The memories that it defines, with their indices.
    pub(super) memories: Vec<(u32, MemoryType)>,
    /// The indices of the globals that it defines and that can change.
    pub(super) globals: Vec<u32>,
}

impl Shape {
    /// Reads a module.
    ///
    /// # Errors
    /// When it could change what cannot be kept: tables, references, and which segments were dropped; or would keep
    /// what must not be: the seeds of Go's runtime.
    pub(super) fn read(module: &[u8]) -> Result<Self, NoSnapshot> {
        let mut shape = Self::default();
        let (mut memories, mut globals) = (0, 0);
        for payload in Parser::new(0).parse_all(module) {
            match payload? {
                Payload::ImportSection(imports) => {
                    for import in imports.into_imports() {
                        match import?.ty {
                            TypeRef::Memory(_) => memories += 1,
                            TypeRef::Global(_) => globals += 1,
                            _ => {}
                        }
                    }
                }
                Payload::MemorySection(section) => {
                    for memory in section {
                        let memory = memory?;
                        if memory.shared {
                            return Err(NoSnapshot::unsupported(
                                "one of its memories is shared by threads",
                            ));
                        }
                        shape.memories.push((memories, memory));
                        memories += 1;
                    }
                }
                Payload::GlobalSection(section) => {
                    for global in section {
                        let ty = global?.ty;
                        if ty.mutable {
                            if matches!(ty.content_type, ValType::Ref(_)) {
                                return Err(NoSnapshot::unsupported(
                                    "one of its globals holds a reference",
                                ));
                            }
                            shape.globals.push(globals);
                        }
                        globals += 1;
                    }
                }
                Payload::CustomSection(section) if section.name() == GO => return Err(go()),
                Payload::CodeSectionEntry(code) => {
                    let mut operators = code.get_operators_reader()?;
                    while !operators.eof() {
                        if let Some(name) = unkept(&operators.read()?) {
                            return Err(NoSnapshot::unsupported(format!(
                                "its code has the instruction `{name}`, whose effect no snapshot can keep"
                            )));
                        }
                    }
                }
                _ => {}
            }
        }
        Ok(shape)
    }
}

/// Why there is no snapshot of what Go made: its runtime would have to be seeded anew behind the snapshot, and no
/// function of it does that.
fn go() -> NoSnapshot {
    NoSnapshot {
        why: Why::Go,
        what: "it is made by Go, whose runtime asks for the seeds of its random numbers and maps when it starts and never \
               again: all instances would have the same"
            .to_owned(),
    }
}

/// The name of an instruction that changes what is neither in a memory nor in a global of numbers.
fn unkept(operator: &Operator<'_>) -> Option<&'static str> {
    Some(match operator {
        Operator::TableSet { .. } => "table.set",
        Operator::TableGrow { .. } => "table.grow",
        Operator::TableFill { .. } => "table.fill",
        Operator::TableCopy { .. } => "table.copy",
        Operator::TableInit { .. } => "table.init",
        Operator::ElemDrop { .. } => "elem.drop",
        Operator::DataDrop { .. } => "data.drop",
        Operator::StructSet { .. } => "struct.set",
        Operator::ArraySet { .. } => "array.set",
        Operator::ArrayFill { .. } => "array.fill",
        Operator::ArrayCopy { .. } => "array.copy",
        Operator::ArrayInitData { .. } => "array.init_data",
        Operator::ArrayInitElem { .. } => "array.init_elem",
        _ => return None,
    })
}
