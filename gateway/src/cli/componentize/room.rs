//! Reserves memory for the adapter within the module's own data.
//!
//! The adapter from WASI 0.1 to 0.2 allocates with the module's allocator, or else grows the memory and uses the new
//! pages. A module whose heap grows contiguously, as Go's does, would take these pages for its own. Such a module can
//! reserve space for the adapter among its data, marked by a line that is searched for here; an allocator over that
//! space is added to the module.

use wasmparser::{BinaryReader, BinaryReaderError, DataKind, ExternalKind, Operator, Parser, Payload, TypeRef};

/// The line with which the room begins; the template's `between` has it.
const MARK: &[u8] = b"wasmgate: memory of the adapter.";

/// The length of the room.
const ROOM_BYTES: u32 = 256 << 10;

/// What everything in it is aligned to, at the least.
const ALIGNMENT: u32 = 16;

/// The name by which the adapter finds the module's allocator.
const ALLOCATOR: &str = "cabi_realloc";

/// Sections of a module.
const TYPE: u8 = 1;
const FUNCTION: u8 = 3;
const GLOBAL: u8 = 6;
const EXPORT: u8 = 7;
const CODE: u8 = 10;

/// The type of a number of 32 bits.
const I32: u8 = 0x7F;

/// A module with an allocator of this room for the adapter, if it has the room and no allocator.
///
/// # Errors
/// When it cannot be read.
pub(super) fn given(module: Vec<u8>) -> Result<Vec<u8>, BinaryReaderError> {
    let counts = Counts::of(&module)?;
    let Some(start) = counts.room.filter(|_| !counts.has_allocator) else {
        return Ok(module);
    };
    let mut out = module.get(..8).unwrap_or_default().to_vec();
    for payload in Parser::new(0).parse_all(&module) {
        let Some((id, range)) = payload?.as_section() else {
            continue;
        };
        let contents = module.get(range).unwrap_or_default();
        let added = match id {
            TYPE => Some(vec![0x60, 4, I32, I32, I32, I32, 1, I32]),
            FUNCTION => Some(unsigned(counts.types)),
            GLOBAL => Some(global(start)),
            EXPORT => Some(export(counts.functions)),
            CODE => Some(allocator(counts.globals, start)),
            _ => None,
        };
        let contents = match added {
            Some(item) => with(contents, &item)?,
            None => contents.to_vec(),
        };
        out.push(id);
        out.extend(unsigned(contents.len() as u64));
        out.extend(contents);
    }
    Ok(out)
}

/// What there is in a module.
#[derive(Default)]
struct Counts {
    types: u64,
    functions: u64,
    globals: u64,
    has_allocator: bool,
    /// Where the room begins.
    room: Option<u32>,
}

impl Counts {
    fn of(module: &[u8]) -> Result<Self, BinaryReaderError> {
        let mut counts = Self::default();
        for payload in Parser::new(0).parse_all(module) {
            match payload? {
                Payload::TypeSection(groups) => {
                    for group in groups {
                        counts.types += group?.types().len() as u64;
                    }
                }
                Payload::ImportSection(imports) => {
                    for import in imports.into_imports() {
                        match import?.ty {
                            TypeRef::Func(_) | TypeRef::FuncExact(_) => counts.functions += 1,
                            TypeRef::Global(_) => counts.globals += 1,
                            _ => {}
                        }
                    }
                }
                Payload::FunctionSection(functions) => counts.functions += u64::from(functions.count()),
                Payload::GlobalSection(globals) => counts.globals += u64::from(globals.count()),
                Payload::ExportSection(exports) => {
                    for export in exports {
                        let export = export?;
                        counts.has_allocator |= export.name == ALLOCATOR && export.kind == ExternalKind::Func;
                    }
                }
                Payload::DataSection(segments) => {
                    for segment in segments {
                        let segment = segment?;
                        let found = segment
                            .data
                            .windows(MARK.len())
                            .position(|window| window == MARK);
                        if let (Some(at), DataKind::Active { offset_expr, .. }) = (found, &segment.kind)
                            && let Operator::I32Const { value } = offset_expr.get_operators_reader().read()?
                        {
                            counts.room = u32::try_from(at)
                                .ok()
                                .and_then(|at| value.cast_unsigned().checked_add(at));
                        }
                    }
                }
                _ => {}
            }
        }
        Ok(counts)
    }
}

/// A section's contents with one more item.
fn with(contents: &[u8], item: &[u8]) -> Result<Vec<u8>, BinaryReaderError> {
    let mut reader = BinaryReader::new(contents, 0);
    let count = reader.read_var_u32()?;
    let mut out = unsigned(u64::from(count) + 1);
    out.extend(
        contents
            .get(reader.original_position()..)
            .unwrap_or_default(),
    );
    out.extend(item);
    Ok(out)
}

/// Where the next bytes come from: behind the mark.
fn global(start: u32) -> Vec<u8> {
    let first = (start + MARK.len() as u32).next_multiple_of(ALIGNMENT);
    [&[I32, 1, 0x41][..], &signed(first), &[0x0B]].concat()
}

fn export(function: u64) -> Vec<u8> {
    let name = ALLOCATOR.as_bytes();
    [
        &unsigned(name.len() as u64)[..],
        name,
        &[0],
        &unsigned(function),
    ]
    .concat()
}

/// Takes bytes of the room, aligned as is asked, and traps at its end. What was there before is not looked at: the
/// adapter takes memory and gives none back.
fn allocator(next: u64, start: u32) -> Vec<u8> {
    let next = unsigned(next);
    let end = signed(start + ROOM_BYTES);
    let code = [
        // One local: where the bytes are.
        &[1, 1, I32][..],
        // (next + align - 1) & -align
        &[0x23],
        &next,
        &[
            0x20, 2, 0x6A, 0x41, 1, 0x6B, 0x41, 0, 0x20, 2, 0x6B, 0x71, 0x22, 4,
        ],
        // next = that + size
        &[0x20, 3, 0x6A, 0x24],
        &next,
        // if next > end: unreachable
        &[0x23],
        &next,
        &[0x41],
        &end,
        &[0x4B, 0x04, 0x40, 0x00, 0x0B],
        &[0x20, 4, 0x0B],
    ]
    .concat();
    [&unsigned(code.len() as u64)[..], &code].concat()
}

/// A number as WebAssembly writes it: seven bits a byte, the lowest first.
fn unsigned(mut number: u64) -> Vec<u8> {
    let mut out = Vec::new();
    loop {
        let [low, ..] = number.to_le_bytes();
        number >>= 7;
        if number == 0 {
            out.push(low & 0x7F);
            return out;
        }
        out.push(low | 0x80);
    }
}

/// The same of an address, as the signed number of 32 bits that it is there.
fn signed(address: u32) -> Vec<u8> {
    let mut number = address.cast_signed();
    let mut out = Vec::new();
    loop {
        let [low, ..] = number.to_le_bytes();
        let low = low & 0x7F;
        number >>= 7;
        let is_negative = low & 0x40 != 0;
        if (number == 0 && !is_negative) || (number == -1 && is_negative) {
            out.push(low);
            return out;
        }
        out.push(low | 0x80);
    }
}
