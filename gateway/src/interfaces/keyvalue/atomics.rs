//! `wasi:keyvalue/atomics`: counters, and in 0.2.0-draft2 compare-and-swap, based on the ETags of the state store.

use std::time::Duration;

use wasmtime::{
    StoreContextMut,
    component::{ComponentType, Lift, LinkerInstance, Lower, Resource, ResourceType},
};
use wasmtime_wasi_io::IoView as _;

use super::{
    Error,
    bucket::{Bucket, Item, Version, Written},
};
use crate::{
    account::Charge,
    instance::HostState,
    interfaces::handle::{behind, on_handle},
};

/// The longest pause of one that came too late before it tries again: others have written meanwhile, and the next try
/// is for another version.
const MOST_PAUSE: Duration = Duration::from_millis(20);

/// A number by which a version of the interface counts.
pub(super) trait Number: ComponentType + Lift + Lower + Send + Sync + Copy + TryFrom<i128> + 'static
where
    i128: From<Self>,
{
}

impl Number for u64 {}
impl Number for i64 {}

/// Links the counter.
///
/// # Errors
/// When the linker does not take it.
pub(super) fn link_increment<N: Number>(linker: &mut LinkerInstance<'_, HostState>) -> wasmtime::Result<()>
where
    i128: From<N>,
{
    on_handle(
        linker,
        "increment",
        |bucket: Bucket, (key, delta): (String, N)| async move { increment(&bucket, &key, delta).await },
    )
}

/// Adds to the number under a key, which is written in decimal digits. Of several at once each is counted: one that
/// finds that another was faster begins anew, until the deadline of its request.
async fn increment<N: Number>(bucket: &Bucket, key: &str, delta: N) -> Result<N, Error>
where
    i128: From<N>,
{
    let mut pause = Duration::from_micros(500);
    loop {
        let item = bucket.get(key).await?;
        let old = match &item {
            None => 0,
            Some(item) => number(&item.value).ok_or_else(|| {
                Error::Other(format!(
                    "there is no number under {key:?} that could be added to"
                ))
            })?,
        };
        let new = old.checked_add(delta.into());
        let new = new.and_then(|new| N::try_from(new).ok());
        let new = new.ok_or_else(|| Error::Other(format!("the number under {key:?} would be too large")))?;
        let text = i128::from(new).to_string();
        match bucket
            .set(key, text.as_bytes(), version(item.as_ref()))
            .await?
        {
            Written::Done => return Ok(new),
            Written::Conflict => tokio::time::sleep(pause.mul_f64(fastrand::f64())).await,
        }
        pause = pause.saturating_mul(2).min(MOST_PAUSE);
    }
}

fn number(value: &[u8]) -> Option<i128> {
    str::from_utf8(value).ok()?.parse().ok()
}

/// The version that a key must still have.
fn version(item: Option<&Item>) -> Version {
    item.map_or(Version::Absent, |item| Version::Is(item.etag.clone()))
}

/// The resource `cas`: a key as it was.
pub(super) struct Cas {
    bucket: Bucket,
    key: String,
    version: Version,
    value: Option<Vec<u8>>,
    /// Counts key and value as the instance's memory.
    _charges: (Charge, Option<Charge>),
}

impl Cas {
    async fn read(bucket: Bucket, key: String) -> Result<Self, Error> {
        let of_key = bucket.charge(key.len())?;
        let item = bucket.get(&key).await?;
        let version = version(item.as_ref());
        let (value, of_value) = item.map(|item| (item.value, item.charge)).unzip();
        Ok(Self {
            bucket,
            key,
            version,
            value,
            _charges: (of_key, of_value),
        })
    }
}

/// `wasi:keyvalue/atomics.cas-error`.
#[derive(ComponentType, Lower)]
#[component(variant)]
enum CasError {
    #[component(name = "store-error")]
    Store(Error),
    /// Another write was faster: the key as it is now.
    #[component(name = "cas-failed")]
    Failed(Resource<Cas>),
}

/// Links compare and swap.
///
/// # Errors
/// When the linker does not take it.
pub(super) fn link_cas(linker: &mut LinkerInstance<'_, HostState>) -> wasmtime::Result<()> {
    linker.resource("cas", ResourceType::host::<Cas>(), |mut store, handle| {
        let handle = Resource::<Cas>::new_own(handle);
        store.data_mut().table().delete(handle)?;
        Ok(())
    })?;
    linker.func_wrap_async(
        "[static]cas.new",
        |mut store: StoreContextMut<'_, HostState>, (handle, key): (Resource<Bucket>, String)| {
            Box::new(async move {
                let bucket = behind(&mut store, &handle)?;
                Ok((match Cas::read(bucket, key).await {
                    Ok(cas) => Ok(store.data_mut().table().push(cas)?),
                    Err(error) => Err(error),
                },))
            })
        },
    )?;
    linker.func_wrap(
        "[method]cas.current",
        |mut store: StoreContextMut<'_, HostState>, (handle,): (Resource<Cas>,)| {
            let value = store.data_mut().table().get(&handle)?.value.clone();
            Ok((Ok::<_, Error>(value),))
        },
    )?;
    linker.func_wrap_async(
        "swap",
        |mut store: StoreContextMut<'_, HostState>, (handle, value): (Resource<Cas>, Vec<u8>)| {
            Box::new(async move {
                let cas = store.data_mut().table().delete(handle)?;
                let Cas {
                    bucket,
                    key,
                    version,
                    ..
                } = cas;
                let swapped = match bucket.set(&key, &value, version).await {
                    Ok(Written::Done) => Ok(()),
                    Ok(Written::Conflict) => match Cas::read(bucket, key).await {
                        Ok(now) => Err(CasError::Failed(store.data_mut().table().push(now)?)),
                        Err(error) => Err(CasError::Store(error)),
                    },
                    Err(error) => Err(CasError::Store(error)),
                };
                Ok((swapped,))
            })
        },
    )
}
