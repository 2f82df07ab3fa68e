//! Writes a component without some of its data.

use std::collections::BTreeMap;

use wasmparser::{BinaryReader, BinaryReaderError, DataKind, DataSectionReader};

use super::super::binary::{COMPONENT, CORE_MODULE, DATA, DATA_COUNT, leb128, rewrite, sections};

/// The data that is removed from a module.
#[derive(Default)]
pub(super) struct Emptied {
    /// The memories whose data is removed, by index.
    pub(super) memories: Vec<u32>,
    /// Segment indices must stay valid.
    pub(super) keeps_places: bool,
}

/// Rewrites a component at offset `at` without the data of some memories of its modules.
pub(super) fn without(
    component: &[u8],
    at: usize,
    emptied: &BTreeMap<usize, Emptied>,
) -> Result<Vec<u8>, BinaryReaderError> {
    let end = at + component.len();
    rewrite(component, |section, contents| {
        let at = at + section.contents.start;
        match section.id {
            CORE_MODULE => match emptied.get(&at) {
                Some(emptied) => module_without(contents, emptied).map(Some),
                None => Ok(None),
            },
            // Sections without these modules are copied unchanged.
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

/// Rewrites a module without the data of some memories.
fn module_without(module: &[u8], emptied: &Emptied) -> Result<Vec<u8>, BinaryReaderError> {
    let data = sections(module)?
        .into_iter()
        .find(|section| section.id == DATA);
    let data = data.and_then(|section| module.get(section.contents));
    let (mut data, left) = match data {
        Some(section) => segments_without(section, emptied).map(|(data, left)| (Some(data), left))?,
        None => (None, 0),
    };
    rewrite(module, |section, _| {
        Ok(match section.id {
            DATA => data.take(),
            DATA_COUNT => {
                let mut count = Vec::new();
                leb128(&mut count, left);
                Some(count)
            }
            _ => None,
        })
    })
}

/// The flag of a passive segment.
const PASSIVE: u8 = 1;

/// Rewrites a data section without the data of some memories, and returns the number of its segments.
///
/// Nothing is left of a segment, or an empty passive one if indices have to hold, which is for every instruction what
/// an active one is once it was copied. Were it an empty active one, each instance would still copy it, and each
/// segment has its place in each instance: compilers make a hundred thousand of them.
fn segments_without(section: &[u8], emptied: &Emptied) -> Result<(Vec<u8>, u64), BinaryReaderError> {
    let segments = DataSectionReader::new(BinaryReader::new(section, 0))?;
    let (mut kept, mut left) = (Vec::new(), 0);
    for segment in segments {
        let segment = segment?;
        let is_taken = matches!(&segment.kind, DataKind::Active { memory_index, .. }
            if emptied.memories.contains(memory_index));
        if !is_taken {
            kept.extend_from_slice(section.get(segment.range).unwrap_or_default());
        } else if emptied.keeps_places {
            kept.push(PASSIVE);
            leb128(&mut kept, 0);
        } else {
            continue;
        }
        left += 1;
    }
    let mut out = Vec::with_capacity(kept.len() + 5);
    leb128(&mut out, left);
    out.append(&mut kept);
    Ok((out, left))
}
