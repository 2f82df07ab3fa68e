//! The initial contents of memories, mapped instead of copied.
//!
//! A memory with an image is a private mapping of a file: unmodified pages are the file's own, shared by all instances;
//! modified pages are private, and the reset finds them as in other memories and copies the image's bytes over them.

use std::{
    cell::RefCell,
    fs::File,
    io::{self, Write as _},
    num::NonZeroU64,
    pin::Pin,
    ptr::{self, NonNull},
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    task::{Context, Poll},
};

use rustix::{
    fs::{MemfdFlags, SealFlags},
    mm::{MapFlags, ProtFlags},
    param::page_size,
};
use wasmtime::MemoryType;

/// The initial contents of one memory, from its first byte on. Beyond them the memory begins with zeros.
#[derive(Debug)]
pub struct Image {
    id: NonZeroU64,
    file: File,
    offset: u64,
    map: NonNull<u8>,
    bytes: usize,
}

// SAFETY: the mapping is read-only, this value's own, and lives as long as it.
unsafe impl Send for Image {}
// SAFETY: as above; nothing is ever written through it.
unsafe impl Sync for Image {}

impl Image {
    /// An image of `bytes` of a file from `offset` on, both multiples of the host's page size.
    ///
    /// The caller promises that nobody writes to the file or shortens it as long as the image or a memory made of it
    /// lives: both would be seen by guests, and a shorter file ends the process by SIGBUS.
    ///
    /// # Errors
    /// When there are no such pages in the file, or they cannot be mapped.
    pub fn new(file: File, offset: u64, bytes: usize) -> io::Result<Self> {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let end = u64::try_from(bytes)
            .ok()
            .and_then(|bytes| offset.checked_add(bytes));
        let is_in_file = end.is_some_and(|end| bytes > 0 && file.metadata().is_ok_and(|file| end <= file.len()));
        if !is_in_file || !bytes.is_multiple_of(page_size()) || !offset.is_multiple_of(page_size() as u64) {
            let why = "an image is whole pages of its file, at least one";
            return Err(io::Error::new(io::ErrorKind::InvalidData, why));
        }
        let (any, protection) = (ptr::null_mut(), ProtFlags::READ);
        // SAFETY: a fresh read-only mapping at an address of the kernel's choice overlaps nothing.
        let map = unsafe { rustix::mm::mmap(any, bytes, protection, MapFlags::PRIVATE, &file, offset) }?;
        let map = NonNull::new(map.cast::<u8>()).ok_or_else(|| io::Error::other("the kernel mapped address zero"))?;
        let id = NonZeroU64::new(NEXT.fetch_add(1, Ordering::Relaxed)).unwrap_or(NonZeroU64::MAX);
        Ok(Self {
            id,
            file,
            offset,
            map,
            bytes,
        })
    }

    /// An image of these bytes, in memory: sealed, so that nobody can change them, and not on disk.
    ///
    /// # Errors
    /// When there are none, or when the kernel has no memory for them.
    pub fn of_bytes(bytes: &[u8]) -> io::Result<Self> {
        let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
        let mut file = File::from(rustix::fs::memfd_create("wasmgate-image", flags)?);
        file.write_all(bytes)?;
        let bytes = bytes.len().next_multiple_of(page_size());
        file.set_len(bytes as u64)?;
        let seals = SealFlags::WRITE | SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL;
        rustix::fs::fcntl_add_seals(&file, seals)?;
        Self::new(file, 0, bytes)
    }

    /// Its length.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// The name by which slots are told apart, unique in this process.
    pub(crate) fn id(&self) -> NonZeroU64 {
        self.id
    }

    /// Where it is kept: a file, and the offset in it.
    pub(crate) fn place(&self) -> (&File, u64) {
        (&self.file, self.offset)
    }

    pub(crate) fn contents(&self) -> &[u8] {
        // SAFETY: the mapping is `bytes` long, readable as long as `self`, and not written by the promise of `new`.
        unsafe { std::slice::from_raw_parts(self.map.as_ptr(), self.bytes) }
    }
}

impl Drop for Image {
    fn drop(&mut self) {
        // SAFETY: exactly the mapping made in `new`, to which nothing refers any more. A failure leaves address space
        // taken, which is safe.
        let _ = unsafe { rustix::mm::munmap(self.map.as_ptr().cast(), self.bytes) };
    }
}

/// An image, and the memories that begin with it: those of exactly this type.
#[derive(Debug, Clone)]
pub struct ImageOf {
    /// The first size of such a memory, in bytes.
    pub minimum_bytes: usize,
    /// The largest, in pages of its own; `None` without a limit.
    pub maximum_pages: Option<u64>,
    /// Their contents.
    pub image: Arc<Image>,
}

/// The images of one component's memories.
#[derive(Debug, Default)]
pub struct Images {
    of: Vec<ImageOf>,
    memories: usize,
}

impl Images {
    /// Images of memories, no two of the same type, of which each instance has so many in all.
    pub fn new(of: Vec<ImageOf>, memories: usize) -> Self {
        Self { of, memories }
    }

    /// Returns whether there is none.
    pub fn is_empty(&self) -> bool {
        self.of.is_empty()
    }

    /// Runs `instantiation`, whose memories begin with these images: the code of its modules holds no data for them.
    ///
    /// # Errors
    /// [`Missed`] when the instantiation did not take every memory that has an image: its contents are wrong then, and
    /// it must not be used. Otherwise its own.
    pub async fn instantiate<T, E: From<Missed>>(
        self: Arc<Self>,
        instantiation: impl Future<Output = Result<T, E>>,
    ) -> Result<T, E> {
        if self.is_empty() {
            return instantiation.await;
        }
        let plan = Arc::new(Plan {
            images: self,
            taken: AtomicUsize::new(0),
        });
        let made = Planned {
            plan: Arc::clone(&plan),
            future: std::pin::pin!(instantiation),
        }
        .await?;
        let expected = plan.images.memories;
        let taken = plan.taken.load(Ordering::Relaxed);
        if taken == expected {
            Ok(made)
        } else {
            Err(Missed { expected, taken }.into())
        }
    }
}

/// An instantiation that took other memories than its component says.
#[derive(Debug, thiserror::Error)]
#[error("{expected} memories of this component begin with an image, and {taken} were made")]
pub struct Missed {
    expected: usize,
    taken: usize,
}

/// The images of the instantiation that is under way.
#[derive(Debug)]
struct Plan {
    images: Arc<Images>,
    taken: AtomicUsize,
}

thread_local! {
    /// The plan of the instantiation that this thread polls.
    static CURRENT: RefCell<Option<Arc<Plan>>> = const { RefCell::new(None) };
}

/// The image of a memory that is being made, if the instantiation under way on this thread has one for its type.
pub(crate) fn wanted(ty: &MemoryType, minimum_bytes: usize) -> Option<Arc<Image>> {
    CURRENT.with_borrow(|current| {
        let plan = current.as_ref()?;
        let of = plan.images.of.iter().find(|of| {
            of.minimum_bytes == minimum_bytes && of.maximum_pages == ty.maximum() && !ty.is_64() && !ty.is_shared()
        })?;
        plan.taken.fetch_add(1, Ordering::Relaxed);
        Some(Arc::clone(&of.image))
    })
}

/// A future during whose turns the plan is known to the thread.
struct Planned<F> {
    plan: Arc<Plan>,
    future: F,
}

impl<F: Future + Unpin> Future for Planned<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let before = CURRENT.replace(Some(Arc::clone(&self.plan)));
        let _restored = Restore(before);
        Pin::new(&mut self.future).poll(cx)
    }
}

/// Puts back what was known before, also when the turn ends by a panic.
struct Restore(Option<Arc<Plan>>);

impl Drop for Restore {
    fn drop(&mut self) {
        CURRENT.set(self.0.take());
    }
}
