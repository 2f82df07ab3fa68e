//! The bulk memory and table instructions, and generated functions that do the same piece by piece.

use wasmparser::{AbstractHeapType, HeapType, Operator, RefType, UnpackedIndex};

use super::super::binary::{leb128, signed_leb128};

/// Bytes of a memory that are moved at once: some ten microseconds, and several times that where each page is touched
/// for the first time.
const BYTES: u32 = 128 << 10;

/// Elements of a table, of which each may have to be made.
const ELEMENTS: u32 = 8 << 10;

/// An instruction, with what it names by index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Bulk {
    MemoryInit { data: u32, memory: u32 },
    MemoryCopy { to: u32, from: u32 },
    MemoryFill { memory: u32 },
    TableInit { elements: u32, table: u32 },
    TableCopy { to: u32, from: u32 },
    TableFill { table: u32 },
}

/// A number by which a memory or table is indexed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Index {
    I32,
    I64,
}

/// A table, as far as it matters here.
#[derive(Debug, Clone)]
pub(super) struct Table {
    pub(super) index: Index,
    /// The type of its elements in bytes; `None` if this version does not know how that is written.
    pub(super) elements: Option<Vec<u8>>,
}

/// The memories and tables of a module.
#[derive(Debug, Default)]
pub(super) struct Places {
    pub(super) memories: Vec<Index>,
    pub(super) tables: Vec<Table>,
}

/// A function that does what an instruction does.
pub(super) struct Helper {
    /// Its type, as it is written in the section of types.
    pub(super) ty: Vec<u8>,
    /// Its body, without its length.
    pub(super) body: Vec<u8>,
}

impl Bulk {
    pub(super) fn of(operator: &Operator<'_>) -> Option<Self> {
        Some(match *operator {
            Operator::MemoryInit { data_index, mem } => Self::MemoryInit {
                data: data_index,
                memory: mem,
            },
            Operator::MemoryCopy { dst_mem, src_mem } => Self::MemoryCopy {
                to: dst_mem,
                from: src_mem,
            },
            Operator::MemoryFill { mem } => Self::MemoryFill { memory: mem },
            Operator::TableInit { elem_index, table } => Self::TableInit {
                elements: elem_index,
                table,
            },
            Operator::TableCopy {
                dst_table,
                src_table,
            } => Self::TableCopy {
                to: dst_table,
                from: src_table,
            },
            Operator::TableFill { table } => Self::TableFill { table },
            _ => return None,
        })
    }

    /// What is moved at once, in bytes or elements.
    pub(super) fn piece(self) -> u32 {
        match self {
            Self::MemoryInit { .. } | Self::MemoryCopy { .. } | Self::MemoryFill { .. } => BYTES,
            Self::TableInit { .. } | Self::TableCopy { .. } | Self::TableFill { .. } => ELEMENTS,
        }
    }

    /// Writes the instruction.
    fn write(self, code: &mut Vec<u8>) {
        let (number, indices) = match self {
            Self::MemoryInit { data, memory } => (8, [Some(data), Some(memory)]),
            Self::MemoryCopy { to, from } => (10, [Some(to), Some(from)]),
            Self::MemoryFill { memory } => (11, [Some(memory), None]),
            Self::TableInit { elements, table } => (12, [Some(elements), Some(table)]),
            Self::TableCopy { to, from } => (14, [Some(to), Some(from)]),
            Self::TableFill { table } => (17, [Some(table), None]),
        };
        code.push(0xFC);
        leb128(code, number);
        for index in indices.into_iter().flatten() {
            leb128(code, index.into());
        }
    }

    /// The function that does it a piece at a time; `None` where a type is not known.
    pub(super) fn helper(self, places: &Places) -> Option<Helper> {
        let memory = |index: u32| places.memories.get(usize::try_from(index).ok()?).copied();
        let table = |index: u32| places.tables.get(usize::try_from(index).ok()?);
        let operands = match self {
            Self::MemoryInit { memory: to, .. } => Operands::taking(memory(to)?, Index::I32),
            Self::MemoryCopy { to, from } => Operands::moving(memory(to)?, memory(from)?),
            Self::MemoryFill { memory: to } => Operands::filling(memory(to)?, vec![Index::I32.ty()]),
            Self::TableInit { table: to, .. } => Operands::taking(table(to)?.index, Index::I32),
            Self::TableCopy { to, from } => Operands::moving(table(to)?.index, table(from)?.index),
            Self::TableFill { table: to } => Operands::filling(table(to)?.index, table(to)?.elements.clone()?),
        };
        Some(Helper {
            ty: operands.ty(),
            body: Body::new(self, operands).written(),
        })
    }
}

impl Index {
    fn ty(self) -> u8 {
        match self {
            Self::I32 => 0x7F,
            Self::I64 => 0x7E,
        }
    }
}

/// The operands of an instruction: where to, what or where from, and how much.
struct Operands {
    to: Index,
    /// Where from, if that goes on as well.
    from: Option<Index>,
    /// The type of the second operand.
    second: Vec<u8>,
    length: Index,
    /// What is moved may be in the way of itself.
    overlaps: bool,
}

impl Operands {
    fn filling(to: Index, second: Vec<u8>) -> Self {
        Self {
            to,
            from: None,
            second,
            length: to,
            overlaps: false,
        }
    }

    /// From a segment.
    fn taking(to: Index, from: Index) -> Self {
        Self {
            to,
            from: Some(from),
            second: vec![from.ty()],
            length: Index::I32,
            overlaps: false,
        }
    }

    /// Two indices may be of one place.
    fn moving(to: Index, from: Index) -> Self {
        Self {
            to,
            from: Some(from),
            second: vec![from.ty()],
            length: match (to, from) {
                (Index::I64, Index::I64) => Index::I64,
                _ => Index::I32,
            },
            overlaps: to == from,
        }
    }

    fn ty(&self) -> Vec<u8> {
        let mut ty = vec![0x60, 3, self.to.ty()];
        ty.extend_from_slice(&self.second);
        ty.extend_from_slice(&[self.length.ty(), 0]);
        ty
    }
}

/// The parameters, by their indices.
const TO: u8 = 0;
const SECOND: u8 = 1;
const LENGTH: u8 = 2;

const LOOP: [u8; 2] = [0x03, 0x40];
const IF: [u8; 2] = [0x04, 0x40];
const END: u8 = 0x0B;
const BR_IF_0: [u8; 2] = [0x0D, 0];
const RETURN: u8 = 0x0F;
const I32_OR: u8 = 0x72;
const I64_EXTEND_I32_U: u8 = 0xAD;

/// Operations on numbers, each of 32 and of 64 bits.
#[derive(Clone, Copy)]
enum Number {
    Add,
    Sub,
    IsLess,
    IsMore,
    IsNotMore,
}

impl Number {
    fn of(self, index: Index) -> u8 {
        match (self, index) {
            (Self::Add, Index::I32) => 0x6A,
            (Self::Add, Index::I64) => 0x7C,
            (Self::Sub, Index::I32) => 0x6B,
            (Self::Sub, Index::I64) => 0x7D,
            (Self::IsLess, Index::I32) => 0x49,
            (Self::IsLess, Index::I64) => 0x54,
            (Self::IsMore, Index::I32) => 0x4B,
            (Self::IsMore, Index::I64) => 0x56,
            (Self::IsNotMore, Index::I32) => 0x4D,
            (Self::IsNotMore, Index::I64) => 0x58,
        }
    }
}

/// The body of a function, as it is written.
struct Body {
    bulk: Bulk,
    operands: Operands,
    code: Vec<u8>,
}

impl Body {
    fn new(bulk: Bulk, operands: Operands) -> Self {
        Self {
            bulk,
            operands,
            // No locals beside the parameters.
            code: vec![0],
        }
    }

    /// ```text
    /// if length <= PIECE { all at once; return }
    /// if to + length wraps or from + length wraps { all at once; return }
    /// nothing at all, at the end: it traps where all at once would, before anything is written
    /// if what is moved may be in its own way and to > from {
    ///     do { length -= PIECE; a piece at length } while length > PIECE
    /// } else {
    ///     do { a piece; to, from += PIECE; length -= PIECE } while length > PIECE
    /// }
    /// the rest
    /// ```
    fn written(mut self) -> Vec<u8> {
        let Operands {
            to,
            from,
            length,
            overlaps,
            ..
        } = self.operands;
        self.get(LENGTH);
        self.piece(length);
        self.code.push(Number::IsNotMore.of(length));
        self.all_at_once_if();
        self.end_of(TO, to);
        self.get(TO);
        self.code.push(Number::IsLess.of(to));
        if let Some(from) = from {
            self.end_of(SECOND, from);
            self.get(SECOND);
            self.code.extend([Number::IsLess.of(from), I32_OR]);
        }
        self.all_at_once_if();
        self.at_end();
        self.constant(length, 0);
        self.bulk.write(&mut self.code);
        if overlaps {
            self.get(TO);
            self.get(SECOND);
            self.code.push(Number::IsMore.of(to));
            self.code.extend(IF);
            self.code.extend(LOOP);
            self.shorten(length);
            self.at_end();
            self.piece(length);
            self.bulk.write(&mut self.code);
            self.again(length);
            self.rest();
            self.code.extend([RETURN, END]);
        }
        self.code.extend(LOOP);
        self.get(TO);
        self.get(SECOND);
        self.piece(length);
        self.bulk.write(&mut self.code);
        self.go_on(TO, to);
        if let Some(from) = from {
            self.go_on(SECOND, from);
        }
        self.shorten(length);
        self.again(length);
        self.rest();
        self.code.push(END);
        self.code
    }

    /// With a condition before it.
    fn all_at_once_if(&mut self) {
        self.code.extend(IF);
        self.rest();
        self.code.extend([RETURN, END]);
    }

    /// All that is left.
    fn rest(&mut self) {
        for local in [TO, SECOND, LENGTH] {
            self.get(local);
        }
        self.bulk.write(&mut self.code);
    }

    /// Where to and where from, beyond what is left.
    fn at_end(&mut self) {
        self.end_of(TO, self.operands.to);
        match self.operands.from {
            Some(from) => self.end_of(SECOND, from),
            None => self.get(SECOND),
        }
    }

    fn end_of(&mut self, local: u8, index: Index) {
        self.get(local);
        self.get(LENGTH);
        if (index, self.operands.length) == (Index::I64, Index::I32) {
            self.code.push(I64_EXTEND_I32_U);
        }
        self.code.push(Number::Add.of(index));
    }

    fn shorten(&mut self, length: Index) {
        self.get(LENGTH);
        self.piece(length);
        self.code.push(Number::Sub.of(length));
        self.set(LENGTH);
    }

    fn go_on(&mut self, local: u8, index: Index) {
        self.get(local);
        self.piece(index);
        self.code.push(Number::Add.of(index));
        self.set(local);
    }

    /// The end of a loop, which goes on while more than a piece is left.
    fn again(&mut self, length: Index) {
        self.get(LENGTH);
        self.piece(length);
        self.code.push(Number::IsMore.of(length));
        self.code.extend(BR_IF_0);
        self.code.push(END);
    }

    fn piece(&mut self, index: Index) {
        self.constant(index, self.bulk.piece());
    }

    fn constant(&mut self, index: Index, number: u32) {
        self.code.push(match index {
            Index::I32 => 0x41,
            Index::I64 => 0x42,
        });
        signed_leb128(&mut self.code, number.into());
    }

    fn get(&mut self, local: u8) {
        self.code.extend([0x20, local]);
    }

    fn set(&mut self, local: u8) {
        self.code.extend([0x21, local]);
    }
}

/// A reference's type as it is written; `None` if this version does not know how.
pub(super) fn written(ty: RefType) -> Option<Vec<u8>> {
    use AbstractHeapType as Of;
    let mut bytes = vec![if ty.is_nullable() { 0x63 } else { 0x64 }];
    match ty.heap_type() {
        HeapType::Concrete(UnpackedIndex::Module(index)) => signed_leb128(&mut bytes, index.into()),
        HeapType::Abstract { shared: false, ty } => bytes.push(match ty {
            Of::Func => 0x70,
            Of::Extern => 0x6F,
            Of::Any => 0x6E,
            Of::None => 0x71,
            Of::NoExtern => 0x72,
            Of::NoFunc => 0x73,
            Of::Eq => 0x6D,
            Of::I31 => 0x6C,
            Of::Struct => 0x6B,
            Of::Array => 0x6A,
            Of::Exn => 0x69,
            Of::NoExn => 0x74,
            _ => return None,
        }),
        _ => return None,
    }
    Some(bytes)
}
