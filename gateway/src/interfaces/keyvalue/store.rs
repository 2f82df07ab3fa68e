//! `wasi:keyvalue/store`: buckets, and keys one at a time.

use wasmtime::{
    StoreContextMut,
    component::{ComponentType, Lift, LinkerInstance, Lower, Resource, ResourceType},
};
use wasmtime_wasi_io::IoView as _;

use super::{
    Error,
    bucket::{Bucket, Version},
};
use crate::{instance::HostState, interfaces::handle::on_handle};

/// The bytes of a bucket's name that are in the log.
const MOST_OF_A_NAME: usize = 100;

/// A page of keys. What stands for the rest of them is a number in 0.2.0-draft and a text in 0.2.0-draft2.
#[derive(ComponentType, Lower)]
#[component(record)]
struct KeyResponse<C> {
    #[component(name = "keys")]
    keys: Vec<String>,
    #[component(name = "cursor")]
    cursor: Option<C>,
}

/// The form in which a version of the interface has the place where a page ended.
pub(super) trait Cursor: ComponentType + Lift + Lower + Send + Sync + Sized + 'static {
    /// The place that a guest gave back, if it can be one.
    fn place(self) -> Option<i64>;
    /// The form of a place.
    fn of(place: i64) -> Self;
}

impl Cursor for u64 {
    fn place(self) -> Option<i64> {
        i64::try_from(self).ok()
    }

    fn of(place: i64) -> Self {
        place.unsigned_abs()
    }
}

impl Cursor for String {
    fn place(self) -> Option<i64> {
        self.parse().ok()
    }

    fn of(place: i64) -> Self {
        place.to_string()
    }
}

/// Puts the interface into a linker.
///
/// # Errors
/// When the linker does not take it.
pub(super) fn link<C: Cursor>(linker: &mut LinkerInstance<'_, HostState>) -> wasmtime::Result<()> {
    linker.resource(
        "bucket",
        ResourceType::host::<Bucket>(),
        |mut store, handle| {
            let handle = Resource::<Bucket>::new_own(handle);
            store.data_mut().table().delete(handle)?;
            Ok(())
        },
    )?;
    linker.func_wrap(
        "open",
        |mut store: StoreContextMut<'_, HostState>, (name,): (String,)| Ok((open(store.data_mut(), &name)?,)),
    )?;
    on_handle(
        linker,
        "[method]bucket.get",
        |bucket: Bucket, (key,): (String,)| async move {
            bucket
                .get(&key)
                .await
                .map(|item| item.map(|item| item.value))
        },
    )?;
    on_handle(
        linker,
        "[method]bucket.set",
        |bucket: Bucket, (key, value): (String, Vec<u8>)| async move {
            bucket.set(&key, &value, Version::Any).await.map(drop)
        },
    )?;
    on_handle(
        linker,
        "[method]bucket.delete",
        |bucket: Bucket, (key,): (String,)| async move { bucket.delete(&key).await },
    )?;
    on_handle(
        linker,
        "[method]bucket.exists",
        |bucket: Bucket, (key,): (String,)| async move { bucket.exists(&key).await },
    )?;
    on_handle(
        linker,
        "[method]bucket.list-keys",
        |bucket: Bucket, (cursor,): (Option<C>,)| async move { list(&bucket, cursor).await },
    )
}

fn open(state: &mut HostState, name: &str) -> wasmtime::Result<Result<Resource<Bucket>, Error>> {
    let (door, kept) = (state.dapr_door(), state.kept());
    Ok(match Bucket::open(name, door, kept) {
        Ok(bucket) => Ok(state.table().push(bucket)?),
        Err(error) => {
            let account = state.account();
            if account.may_log() {
                let bucket = name.get(..MOST_OF_A_NAME).unwrap_or(name);
                tracing::warn!(package = %account.name(), request_id = state.request_id().as_str(), bucket,
                    "a bucket was refused: it is not in the package's `keyvalue`");
            }
            Err(error)
        }
    })
}

async fn list<C: Cursor>(bucket: &Bucket, cursor: Option<C>) -> Result<KeyResponse<C>, Error> {
    let after = match cursor.map(C::place) {
        None => None,
        Some(Some(place)) => Some(place),
        Some(None) => {
            return Err(Error::other(
                "the cursor is none that a page of keys ended with",
            ));
        }
    };
    let page = bucket.keys(after).await?;
    Ok(KeyResponse {
        keys: page.keys,
        cursor: page.next.map(C::of),
    })
}
