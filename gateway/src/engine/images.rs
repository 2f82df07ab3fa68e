//! Memories that are initialized by mapping an image instead of copying data.

/// A memory that is initialized from an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ImagedMemory {
    /// Its initial size.
    pub minimum_bytes: usize,
    /// Its maximum, in pages.
    pub maximum_pages: Option<u64>,
    /// The length of the image, a multiple of the host's pages.
    pub image_bytes: usize,
}
