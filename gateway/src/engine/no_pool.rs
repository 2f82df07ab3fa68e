//! A stub in place of `wasmgate-pool` on systems that it does not support: all packages run in the other kind of
//! engine.

use std::{convert::Infallible, fs::File, io, sync::Arc};

use wasmtime::Config;

use super::{EngineLimits, ImagedMemory, Slots, families::Families};

/// Does nothing.
#[expect(
    clippy::unnecessary_wraps,
    reason = "there is one that can fail where there is a pool"
)]
pub(super) fn lay_out(_: &mut Config) -> wasmtime::Result<()> {
    Ok(())
}

/// An uninhabited type.
pub(crate) struct Images(Infallible);

/// Always fails.
pub(crate) fn open_images(_: &File, _: u64, _: &[ImagedMemory], _: usize) -> io::Result<Images> {
    Err(io::ErrorKind::Unsupported.into())
}

impl Images {
    pub(crate) async fn instantiate<T>(self: Arc<Self>, instantiation: impl Future<Output = T>) -> T {
        drop(instantiation);
        match self.0 {}
    }
}

/// Drops it: wasmtime's own pool cleans memory at once.
pub(crate) fn keep_until_clean(_: impl Send + 'static) {}

/// An uninhabited type.
pub(super) struct Pooled(Infallible);

#[expect(
    clippy::unnecessary_wraps,
    reason = "there is one that can fail where there is a pool"
)]
impl Pooled {
    pub(super) fn new(_: EngineLimits) -> wasmtime::Result<Option<Self>> {
        Ok(None)
    }

    pub(super) fn attach(&self, _: &mut Config) {
        match self.0 {}
    }

    pub(super) fn slots(&self) -> Slots {
        match self.0 {}
    }

    pub(super) fn trim(&self) {
        match self.0 {}
    }

    pub(super) fn show(&self, _: &mut Families) {
        match self.0 {}
    }
}
