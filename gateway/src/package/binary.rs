//! The binary format of modules and components: sections, each with an id and a length.

use std::ops::Range;

use wasmparser::{BinaryReader, BinaryReaderError};

/// The length of the preamble of a module or component.
pub(super) const PREAMBLE_BYTES: usize = 8;

/// Sections of a component that hold a module and a component.
pub(super) const CORE_MODULE: u8 = 1;
pub(super) const COMPONENT: u8 = 4;

/// Sections of a module, in their required order: that of their ids, except for the number of data segments, which
/// precedes the code.
pub(super) const TYPE: u8 = 1;
pub(super) const FUNCTION: u8 = 3;
pub(super) const MEMORY: u8 = 5;
pub(super) const GLOBAL: u8 = 6;
pub(super) const EXPORT: u8 = 7;
pub(super) const START: u8 = 8;
pub(super) const ELEMENT: u8 = 9;
pub(super) const CODE: u8 = 10;
pub(super) const DATA: u8 = 11;
pub(super) const DATA_COUNT: u8 = 12;

/// A section of a module or component.
pub(super) struct Section {
    /// Its id.
    pub(super) id: u8,
    /// The range of its contents.
    pub(super) contents: Range<usize>,
}

/// The sections of a module or component at the beginning of `bytes`.
///
/// # Errors
/// When they are truncated.
pub(super) fn sections(bytes: &[u8]) -> Result<Vec<Section>, BinaryReaderError> {
    let mut reader = BinaryReader::new(bytes, 0);
    reader.read_bytes(PREAMBLE_BYTES)?;
    let mut sections = Vec::new();
    while !reader.eof() {
        let id = reader.read_u8()?;
        let length = usize::try_from(reader.read_var_u32()?).unwrap_or(usize::MAX);
        let start = reader.original_position();
        reader.read_bytes(length)?;
        sections.push(Section {
            id,
            contents: start..start + length,
        });
    }
    Ok(sections)
}

/// Rewrites a module or component with other contents for some of its sections.
///
/// # Errors
/// When it is truncated, and those of `change`.
pub(super) fn rewrite(
    bytes: &[u8],
    mut change: impl FnMut(&Section, &[u8]) -> Result<Option<Vec<u8>>, BinaryReaderError>,
) -> Result<Vec<u8>, BinaryReaderError> {
    let mut out = bytes.get(..PREAMBLE_BYTES).unwrap_or_default().to_vec();
    for section in sections(bytes)? {
        let contents = bytes.get(section.contents.clone()).unwrap_or_default();
        let changed = change(&section, contents)?;
        let contents = changed.as_deref().unwrap_or(contents);
        push(&mut out, section.id, contents);
    }
    Ok(out)
}

/// Writes a section.
pub(super) fn push(out: &mut Vec<u8>, id: u8, contents: &[u8]) {
    out.push(id);
    leb128(out, contents.len() as u64);
    out.extend_from_slice(contents);
}

/// Writes an unsigned LEB128 number.
pub(super) fn leb128(out: &mut Vec<u8>, mut number: u64) {
    loop {
        let [low, ..] = number.to_le_bytes();
        number >>= 7;
        if number == 0 {
            out.push(low & 0x7F);
            return;
        }
        out.push(low | 0x80);
    }
}

/// Writes a signed LEB128 number.
pub(super) fn signed_leb128(out: &mut Vec<u8>, mut number: i64) {
    loop {
        let [low, ..] = number.to_le_bytes();
        number >>= 7;
        let is_negative = low & 0x40 != 0;
        if (number == 0 && !is_negative) || (number == -1 && is_negative) {
            out.push(low & 0x7F);
            return;
        }
        out.push(low | 0x80);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_as_they_were_written() {
        for number in [
            0,
            1,
            -1,
            63,
            64,
            -64,
            -65,
            1 << 20,
            i64::MAX,
            i64::MIN,
            i64::from(i32::MIN),
        ] {
            let mut bytes = Vec::new();
            signed_leb128(&mut bytes, number);
            assert_eq!(BinaryReader::new(&bytes, 0).read_var_i64().unwrap(), number);
            bytes.clear();
            leb128(&mut bytes, number.cast_unsigned());
            assert_eq!(
                BinaryReader::new(&bytes, 0).read_var_u64().unwrap(),
                number.cast_unsigned()
            );
        }
    }
}
