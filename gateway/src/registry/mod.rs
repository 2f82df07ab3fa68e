//! Registries: components are pulled before they are registered, and pushed from the command line.
//!
//! Our own client, on the HTTP client that the gateway has: every body is bounded and every credential goes to one
//! host, over TLS, which the available libraries do not guarantee; and no second HTTP client is linked.

mod answers;
mod artifact;
mod auth;
mod code;
mod connect;
mod credentials;
mod download;
mod error;
mod exchange;
mod image;
mod layer;
mod lookup;
mod manifest;
mod patience;
mod pull;
mod push;
mod retry;
mod signature;
mod store;
mod transport;
mod uses;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{self, File},
    future::Future,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use tokio::sync::Notify;
use wasmgate_common::read_file;

use crate::{
    config::{Config, PackageConfig, Reference, RegistryConfig, Sha256Digest, Source, VerifyKey},
    metrics::Metrics,
};
use exchange::Exchange;
use pull::Wanted;
use store::Store;

pub use code::Code;
pub(crate) use code::CodeFor;
pub use error::RegistryError;
pub(crate) use manifest::MAX_COMPONENT;
pub(crate) use pull::Pulled;
pub use push::Pushed;
pub(crate) use uses::Needed;

#[cfg(test)]
mod tests;

/// Everything that was pulled, and what is amiss with it.
pub(crate) struct Registry {
    store: Store,
    metrics: Arc<Metrics>,
    /// As the configuration that is served has it.
    config: ArcSwap<RegistryConfig>,
    /// As the configuration has it that was pulled for last.
    pulling: ArcSwap<RegistryConfig>,
    changed: Notify,
    /// By reference: the reason for which it was not looked up the last time.
    troubles: Mutex<BTreeMap<Reference, String>>,
}

/// What the packages of a configuration are made of, as far as they come from registries.
#[derive(Default)]
pub(crate) struct Pulls(
    BTreeMap<Wanted, Result<Pulled, RegistryError>>,
    RegistryConfig,
);

impl Pulls {
    /// What was pulled for a package; `None` for one that is a file.
    ///
    /// # Errors
    /// When it was not to be had.
    pub(crate) fn of(&self, package: &PackageConfig) -> Result<Option<&Pulled>, RegistryError> {
        let Some(wanted) = wanted(&self.1, package) else {
            return Ok(None);
        };
        match self.0.get(&wanted) {
            Some(Ok(pulled)) => Ok(Some(pulled)),
            Some(Err(error)) => Err(error.clone()),
            None => Err(RegistryError::Machine("a pull was left out".to_owned())),
        }
    }
}

impl Registry {
    /// Keeps what is pulled in `folder`, which is made when something is pulled first.
    pub(crate) fn new(folder: &Path, metrics: Arc<Metrics>) -> Self {
        Self {
            store: Store::new(folder),
            metrics,
            config: ArcSwap::default(),
            pulling: ArcSwap::default(),
            changed: Notify::new(),
            troubles: Mutex::default(),
        }
    }

    /// Pulls what the packages of a configuration come from.
    pub(crate) fn pull(&self, config: &Config) -> Pulls {
        let registry = &config.registry;
        self.pulling.store(Arc::new(registry.clone()));
        let packages = config.packages.iter();
        let all: BTreeSet<_> = packages
            .filter_map(|package| wanted(registry, package))
            .collect();
        if all.is_empty() {
            self.troubles.lock().clear();
            return Pulls(BTreeMap::new(), registry.clone());
        }
        let pulled = self.store.make().and_then(|()| {
            run(async {
                let exchange = Exchange::new(registry);
                Ok(pull::all(&exchange, &self.store, &all).await)
            })
        });
        let outcomes = match pulled {
            Ok(outcomes) => outcomes,
            Err(error) => {
                let failed = all.into_iter().map(|wanted| (wanted, Err(error.clone())));
                return Pulls(failed.collect(), registry.clone());
            }
        };
        let used = outcomes
            .values()
            .filter_map(|outcome| outcome.pulled.as_ref().ok())
            .flat_map(|pulled| [pulled.manifest, pulled.component]);
        self.store.tidy(&used.collect());
        let mut troubles = BTreeMap::new();
        for (wanted, outcome) in &outcomes {
            let failed = outcome.pulled.as_ref().err().or(outcome.stale.as_ref());
            self.metrics.pulled(match (failed, outcome.is_new) {
                (Some(_), _) => "failed",
                (None, true) => "pulled",
                (None, false) => "unchanged",
            });
            if let Some(error) = &outcome.stale {
                tracing::warn!(reference = %wanted.reference, %error,
                    "the tag could not be looked up; what it was the last time is served");
                troubles.insert(wanted.reference.clone(), error.to_string());
            }
        }
        *self.troubles.lock() = troubles;
        let pulled = outcomes
            .into_iter()
            .map(|(wanted, outcome)| (wanted, outcome.pulled));
        Pulls(pulled.collect(), registry.clone())
    }

    /// Takes the settings of the configuration that is served from now on.
    pub(crate) fn serve(&self, config: &RegistryConfig) {
        self.config.store(Arc::new(config.clone()));
        self.changed.notify_one();
    }

    /// Waits until tags are to be looked up again.
    pub(crate) async fn due(&self) {
        loop {
            let refresh = self.config.load().refresh;
            let wait = tokio::time::sleep(refresh.unwrap_or(Duration::MAX));
            tokio::select! {
                () = wait => return,
                () = self.changed.notified() => {}
            }
        }
    }

    /// Returns whether a tag has moved since these were pulled. What cannot be looked up has not.
    pub(crate) fn has_news<'a>(&self, served: impl Iterator<Item = &'a Pulled>) -> bool {
        let config = self.config.load_full();
        let tags = served.filter(|pulled| pulled.reference.digest().is_none());
        let tags: BTreeMap<_, _> = tags
            .map(|pulled| (&pulled.reference, pulled.manifest))
            .collect();
        if tags.is_empty() {
            return false;
        }
        let looked_up = run(async {
            let exchange = Exchange::new(&config);
            Ok(pull::digests(&exchange, tags.keys().copied()).await)
        });
        let mut has_news = false;
        for (reference, now) in looked_up.unwrap_or_default() {
            match now {
                Ok(now) => {
                    let is_moved = tags.get(&reference) != Some(&now);
                    has_news |= is_moved;
                    self.metrics
                        .pulled(if is_moved { "moved" } else { "unchanged" });
                    if self.troubles.lock().remove(&reference).is_some() {
                        tracing::info!(%reference, "the tag is looked up again");
                    }
                }
                Err(error) => {
                    self.metrics.pulled("failed");
                    let error = error.to_string();
                    let before = self
                        .troubles
                        .lock()
                        .insert(reference.clone(), error.clone());
                    if before.as_ref() != Some(&error) {
                        tracing::warn!(%reference, error,
                            "the tag could not be looked up; what it was the last time is served");
                    }
                }
            }
        }
        has_news
    }

    /// The reason for which a reference was not looked up the last time.
    pub(crate) fn trouble(&self, reference: &Reference) -> Option<String> {
        self.troubles.lock().get(reference).cloned()
    }

    /// The compiled code of what was pulled that is for this, in a file without a name; `None` if there is none.
    ///
    /// # Errors
    /// When it is not to be had.
    pub(crate) fn code(&self, pulled: &Pulled, wanted: &CodeFor) -> Result<Option<File>, RegistryError> {
        let config = self.pulling.load_full();
        run(async {
            let exchange = Exchange::new(&config);
            let of = (&pulled.reference, pulled.code.as_slice());
            code::pull(&exchange, &self.store, of, wanted).await
        })
    }

    /// All of the store that a reference needs, and what is served of it.
    pub(crate) fn needed(&self, reference: &Reference, served: Option<&Pulled>) -> Needed {
        uses::of(&self.store, reference, served.map(|served| served.manifest))
    }

    /// The file of a component.
    pub(crate) fn file(&self, pulled: &Pulled) -> PathBuf {
        self.store.path(&pulled.component)
    }
}

/// What is wanted of registries for a package.
fn wanted(config: &RegistryConfig, package: &PackageConfig) -> Option<Wanted> {
    let Source::Registry(reference) = &package.source else {
        return None;
    };
    let of_host = || config.host(reference.registry())?.verify.as_ref();
    Some(Wanted {
        reference: reference.clone(),
        key: package.verify.as_ref().or_else(of_host).cloned(),
    })
}

/// What is pushed besides a component.
#[derive(Debug, Default)]
pub struct Beside {
    /// Annotations of its manifest.
    pub annotations: Vec<(String, String)>,
    /// Its compiled code.
    pub code: Option<Code>,
    /// Compiled code that was pushed before, by the digests of its manifests.
    pub known_code: Vec<Sha256Digest>,
}

/// Pushes the component in a file under a tag, and what goes with it.
///
/// # Errors
/// When the file is no component, or the registry does not take it.
pub fn push(
    config: &RegistryConfig,
    reference: &Reference,
    file: &Path,
    beside: Beside,
) -> Result<Pushed, RegistryError> {
    let unreadable = |error: std::io::Error| RegistryError::Unread {
        path: file.to_owned(),
        error: error.to_string(),
    };
    let component = read_file(file, MAX_COMPONENT).map_err(unreadable)?;
    let made = fs::metadata(file)
        .and_then(|metadata| metadata.modified())
        .map_err(unreadable)?;
    run(async {
        let exchange = Exchange::new(config);
        let Beside {
            mut annotations,
            code,
            known_code: mut all_code,
        } = beside;
        if let Some(code) = code {
            let digest = code::push(&exchange, reference, code).await?;
            all_code.retain(|known| *known != digest);
            all_code.push(digest);
        }
        annotations.extend(code::named(&all_code));
        let pushed = push::push(&exchange, reference, component.into(), made, annotations).await?;
        Ok(Pushed {
            code: all_code,
            ..pushed
        })
    })
}

/// Pulls a component into a file, which is replaced if it is there. The reference with its digest, and the digest and
/// size of the component.
///
/// # Errors
/// When it is not to be had, not signed by a `key`, or the file cannot be written.
pub fn pull(
    config: &RegistryConfig,
    reference: &Reference,
    key: Option<VerifyKey>,
    file: &Path,
) -> Result<(Pushed, u64), RegistryError> {
    let folder = file
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.unwrap_or(Path::new("."));
    let unwritable = |error: std::io::Error| RegistryError::Unwritten {
        path: file.to_owned(),
        error: error.to_string(),
    };
    // Beside the file, so that it is moved and not copied.
    let own = tempfile::Builder::new()
        .prefix(".wasmgate-")
        .tempdir_in(folder)
        .map_err(unwritable)?;
    let store = Store::new(&own.path().join("registry"));
    store.make()?;
    let all = BTreeSet::from([Wanted {
        reference: reference.clone(),
        key,
    }]);
    let mut outcomes = run(async {
        let exchange = Exchange::new(config);
        Ok(pull::all(&exchange, &store, &all).await)
    })?;
    let outcome = outcomes.pop_first();
    let missing = || RegistryError::Machine("a pull was left out".to_owned());
    let (_, outcome) = outcome.ok_or_else(missing)?;
    let pulled = outcome.pulled?;
    // Made anew: the store's files are their owner's alone, and this one is to be as other files are.
    let made = own.path().join("component");
    let bytes = fs::read(store.path(&pulled.component)).and_then(|bytes| {
        fs::write(&made, &bytes)?;
        fs::rename(&made, file)?;
        Ok(bytes.len() as u64)
    });
    let bytes = bytes.map_err(unwritable)?;
    let told = Pushed {
        reference: reference.pinned(pulled.manifest),
        component: pulled.component,
        code: pulled.code,
    };
    Ok((told, bytes))
}

/// Runs one pull or push to its end, on this thread alone.
fn run<T>(task: impl Future<Output = Result<T, RegistryError>>) -> Result<T, RegistryError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| RegistryError::Machine(error.to_string()))?;
    let ended = runtime.block_on(task);
    // A lookup of a name may be under way on another thread.
    runtime.shutdown_background();
    ended
}
