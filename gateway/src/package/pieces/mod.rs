//! Splits bulk memory instructions.
//!
//! `memory.fill` and its kin are one call into wasmtime, during which a guest cannot be interrupted: a hundred
//! megabytes block a worker for tens of milliseconds. So they are replaced by calls of functions that are added to the
//! module and do the same in pieces, with an epoch check between pieces. These functions check the bounds of the whole
//! operation first, so that nothing is written if it traps. Operations that are known to be short are left alone.

mod bulk;
#[cfg(test)]
mod tests;

use std::{borrow::Cow, ops::Range};

use wasmparser::{BinaryReader, BinaryReaderError, FunctionBody, Operator, Parser, Payload, TypeRef};

use self::bulk::{Bulk, Helper, Index, Places, Table};
use super::binary::{CODE, COMPONENT, CORE_MODULE, FUNCTION, TYPE, leb128, rewrite, sections};

/// The name of how this is done, by which code that was made otherwise is told apart.
pub(super) const KEY: &str = "pieces-1";

/// Components within components that are looked into: nobody writes as many, and each is copied once for each that is
/// around it.
const MOST_NESTED: usize = 1_000;

/// The first byte of all these instructions.
const PREFIX: u8 = 0xFC;

const CALL: u8 = 0x10;

/// A component in whose modules such instructions are done in pieces; as it is if there are none, or if it cannot be
/// read: the compiler will say it better.
pub(super) fn in_pieces(component: &[u8]) -> Cow<'_, [u8]> {
    match component_in_pieces(component, 0) {
        Ok(Some(changed)) => changed.into(),
        Ok(None) | Err(_) => component.into(),
    }
}

fn component_in_pieces(component: &[u8], depth: usize) -> Result<Option<Vec<u8>>, BinaryReaderError> {
    let mut is_changed = false;
    let changed = rewrite(component, |section, contents| {
        let changed = match section.id {
            CORE_MODULE => module_in_pieces(contents)?,
            COMPONENT if depth < MOST_NESTED => component_in_pieces(contents, depth + 1)?,
            _ => None,
        };
        is_changed |= changed.is_some();
        Ok(changed)
    })?;
    Ok(is_changed.then_some(changed))
}

/// A module with such functions, if it needs some.
fn module_in_pieces(bytes: &[u8]) -> Result<Option<Vec<u8>>, BinaryReaderError> {
    let module = Module::read(bytes)?;
    let mut added = Added::default();
    let mut bodies = Vec::new();
    for range in &module.bodies {
        let body = bytes.get(range.clone()).unwrap_or_default();
        let changed = if body.contains(&PREFIX) {
            body_in_pieces(body, &module, &mut added)?
        } else {
            None
        };
        let body = changed.as_deref().unwrap_or(body);
        leb128(&mut bodies, body.len() as u64);
        bodies.extend_from_slice(body);
    }
    if added.helpers.is_empty() {
        return Ok(None);
    }
    let helpers = || added.helpers.iter().map(|(_, helper)| helper);
    for helper in helpers() {
        leb128(&mut bodies, helper.body.len() as u64);
        bodies.extend_from_slice(&helper.body);
    }
    rewrite(bytes, |section, contents| {
        Ok(match section.id {
            TYPE => Some(longer(contents, helpers().map(|helper| helper.ty.clone()))?),
            FUNCTION => {
                let types = (module.types..).zip(helpers()).map(|(ty, _)| {
                    let mut index = Vec::new();
                    leb128(&mut index, ty);
                    index
                });
                Some(longer(contents, types.collect::<Vec<_>>().into_iter())?)
            }
            CODE => {
                let mut code = Vec::with_capacity(bodies.len() + 5);
                leb128(
                    &mut code,
                    (module.bodies.len() + added.helpers.len()) as u64,
                );
                code.append(&mut bodies);
                Some(code)
            }
            _ => None,
        })
    })
    .map(Some)
}

/// A section that is a list, with more behind it.
fn longer(section: &[u8], more: impl ExactSizeIterator<Item = Vec<u8>>) -> Result<Vec<u8>, BinaryReaderError> {
    let mut reader = BinaryReader::new(section, 0);
    let count = u64::from(reader.read_var_u32()?);
    let mut out = Vec::with_capacity(section.len() + 64);
    leb128(&mut out, count + more.len() as u64);
    out.extend_from_slice(
        section
            .get(reader.original_position()..)
            .unwrap_or_default(),
    );
    more.for_each(|one| out.extend(one));
    Ok(out)
}

/// The body of a function with calls for such instructions, if it has some.
fn body_in_pieces(body: &[u8], module: &Module, added: &mut Added) -> Result<Option<Vec<u8>>, BinaryReaderError> {
    let reader = FunctionBody::new(BinaryReader::new(body, 0));
    let mut operators = reader.get_operators_reader()?;
    let (mut out, mut written) = (Vec::new(), 0);
    // The number that is on top of the stack, where an instruction before has put it there.
    let mut length = None;
    while !operators.eof() {
        let (operator, at) = operators.read_with_offset()?;
        if let Some(bulk) = Bulk::of(&operator)
            && length.is_none_or(|length| length > u64::from(bulk.piece()))
            && let Some(function) = added.function(bulk, module)
        {
            out.extend_from_slice(body.get(written..at).unwrap_or_default());
            out.push(CALL);
            leb128(&mut out, function);
            written = operators.original_position();
        }
        length = match operator {
            Operator::I32Const { value } => Some(value.cast_unsigned().into()),
            Operator::I64Const { value } => Some(value.cast_unsigned()),
            _ => None,
        };
    }
    if written == 0 {
        return Ok(None);
    }
    out.extend_from_slice(body.get(written..).unwrap_or_default());
    Ok(Some(out))
}

/// The functions that are added, each for an instruction.
#[derive(Default)]
struct Added {
    helpers: Vec<(Bulk, Helper)>,
}

impl Added {
    /// The index of the function for an instruction.
    fn function(&mut self, bulk: Bulk, module: &Module) -> Option<u64> {
        let known = self.helpers.iter().position(|(known, _)| *known == bulk);
        let number = match known {
            Some(number) => number,
            None => {
                self.helpers.push((bulk, bulk.helper(&module.places)?));
                self.helpers.len() - 1
            }
        };
        Some(module.functions + number as u64)
    }
}

/// What is to be known of a module.
#[derive(Default)]
struct Module {
    /// How many types it has.
    types: u64,
    /// How many functions, those that are imported with them.
    functions: u64,
    places: Places,
    /// Where the bodies of its own functions are.
    bodies: Vec<Range<usize>>,
}

impl Module {
    fn read(bytes: &[u8]) -> Result<Self, BinaryReaderError> {
        let mut module = Self::default();
        let has_code = sections(bytes)?.iter().any(|section| {
            section.id == CODE
                && bytes
                    .get(section.contents.clone())
                    .is_some_and(|code| code.contains(&PREFIX))
        });
        if !has_code {
            return Ok(module);
        }
        for payload in Parser::new(0).parse_all(bytes) {
            match payload? {
                Payload::TypeSection(groups) => {
                    for group in groups {
                        module.types += group?.types().len() as u64;
                    }
                }
                Payload::ImportSection(imports) => {
                    for import in imports.into_imports() {
                        module.import(import?.ty);
                    }
                }
                Payload::FunctionSection(functions) => module.functions += u64::from(functions.count()),
                Payload::TableSection(tables) => {
                    for table in tables {
                        module.import(TypeRef::Table(table?.ty));
                    }
                }
                Payload::MemorySection(memories) => {
                    for memory in memories {
                        module.import(TypeRef::Memory(memory?));
                    }
                }
                Payload::CodeSectionEntry(body) => module.bodies.push(body.range()),
                _ => {}
            }
        }
        Ok(module)
    }

    fn import(&mut self, ty: TypeRef) {
        let index = |is_wide| if is_wide { Index::I64 } else { Index::I32 };
        match ty {
            TypeRef::Func(_) | TypeRef::FuncExact(_) => self.functions += 1,
            TypeRef::Memory(ty) => self.places.memories.push(index(ty.memory64)),
            TypeRef::Table(ty) => self.places.tables.push(Table {
                index: index(ty.table64),
                elements: bulk::written(ty.element_type),
            }),
            TypeRef::Global(_) | TypeRef::Tag(_) => {}
        }
    }
}
