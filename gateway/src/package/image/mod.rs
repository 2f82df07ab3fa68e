//! Images: data of a component's memories, taken out of its modules, so that instances map it instead of copying it.
//!
//! An active data segment at a constant address is part of the memory's initial contents. Such segments become the
//! memory's image and are removed, or left empty where an instruction refers to them by index.

mod taken;
#[cfg(test)]
mod tests;
mod without;

use std::{
    fs::File,
    io::{self, Read},
    sync::Arc,
};

use rustix::param::page_size;
use wasmparser::BinaryReaderError;

use self::taken::{LEAST_BYTES, Taken};
use super::{cache::CompiledCode, survey::Survey};
use crate::engine::{self, ImagedMemory, Images};

/// A component whose data is in images.
#[derive(Debug)]
pub(super) struct Imaged {
    taken: Taken,
    /// Memories with an image that each of its instances has.
    memories: usize,
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
        let Some(taken) = Taken::out_of(component)? else {
            return Ok(None);
        };
        let modules = taken.images.iter().map(|image| image.module).collect();
        let counted = Survey::parse_counting(component, modules)?.start.counted;
        let memories = usize::try_from(counted).unwrap_or(usize::MAX);
        Ok((memories > 0).then_some(Self { taken, memories }))
    }

    /// The component without its data.
    pub(super) fn component(&self) -> &[u8] {
        &self.taken.component
    }

    /// Bytes of data that need not be copied any more.
    pub(super) fn data(&self) -> u64 {
        self.taken.images.iter().map(|image| image.data).sum()
    }

    /// The images as they are behind the code.
    pub(super) fn plan(&self) -> ImagePlan {
        ImagePlan {
            of: self.taken.images.iter().map(|image| image.memory).collect(),
            memories: self.memories,
        }
    }

    /// The images, to be written behind code of this length: each begins with a page.
    pub(super) fn behind(&self, code: u64) -> impl Read {
        let page = page_size() as u64;
        let padding: Box<dyn Read + '_> = Box::new(io::repeat(0).take(code.next_multiple_of(page) - code));
        let images = self
            .taken
            .images
            .iter()
            .map(|image| image.contents.as_slice());
        images.fold(padding, |before, image| Box::new(before.chain(image)))
    }
}
