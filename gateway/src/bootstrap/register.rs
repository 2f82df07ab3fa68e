//! Registers packages together: everything that can be reported without compiling is reported before anything is
//! compiled, which takes minutes for large components.

use rayon::iter::{IndexedParallelIterator as _, IntoParallelRefIterator as _, ParallelIterator as _};
use wasmgate_common::{Code, Diagnostic};

use super::{
    StartError, dapr,
    progress::{Progress, Show},
};
use crate::{
    config::{Config, PackageConfig},
    gateway::Gateway,
    package::{Batch, Found, Loader, PackageError, Registered},
    registry::{Pulled, Pulls},
};

/// The packages of a configuration, which are registered together.
pub(super) struct Together<'a> {
    config: &'a Config,
    loader: &'a Loader,
    /// The current gateway, on a reload.
    now: Option<&'a Gateway>,
    /// Every package must be valid, even if the configuration is not strict.
    is_strict: bool,
    /// Mistakes in component files, which are reported first.
    files: Vec<Diagnostic>,
}

/// A package's state: `None` if it has to be compiled.
type Looked = Result<Option<Registered>, Diagnostic>;

impl<'a> Together<'a> {
    /// New packages, which all must be valid.
    pub(super) fn new(config: &'a Config, loader: &'a Loader) -> Self {
        Self {
            config,
            loader,
            now: None,
            is_strict: true,
            files: Vec::new(),
        }
    }

    /// Allows invalid packages if the configuration is not strict.
    pub(super) fn not_strictly(self) -> Self {
        Self {
            is_strict: false,
            ..self
        }
    }

    /// On a reload: registrations of unchanged packages are reused, and a package that is being served must stay valid.
    pub(super) fn behind(self, now: &'a Gateway) -> Self {
        Self {
            now: Some(now),
            ..self.not_strictly()
        }
    }

    /// Also checks the component files that they use.
    pub(super) fn with_files(self) -> Self {
        let found = dapr::check(self.config);
        self.and(found)
    }

    /// Also checks component files that nothing uses.
    pub(super) fn with_unused_files(self) -> Self {
        let found = dapr::check_unused(self.config);
        self.and(found)
    }

    fn and(mut self, found: Vec<Diagnostic>) -> Self {
        let config = self.config;
        let found = found.into_iter();
        self.files
            .extend(found.map(|wrong| config.at_key("dapr.components", wrong)));
        self
    }

    /// Checks everything that can be checked without compiling.
    ///
    /// # Errors
    /// With all mistakes found, if one of them is fatal.
    pub(super) fn look(self) -> Result<(), StartError> {
        let _door = self.loader.door();
        let pulls = self.loader.registry().pull(self.config);
        self.looked(&pulls, true).map(drop)
    }

    /// Compiles what is not compiled yet, one package per core in parallel. Returns the packages in the order of the
    /// configuration.
    ///
    /// # Errors
    /// With all mistakes that can be found without compiling, if one of them is fatal: nothing is compiled then.
    /// Otherwise with those found by compiling, if one of them is.
    pub(super) fn register(self, show: Show) -> Result<Vec<Result<Registered, Diagnostic>>, StartError> {
        let _door = self.loader.door();
        let pulls = self.loader.registry().pull(self.config);
        let looked = self.looked(&pulls, false)?;
        let progress = Progress::new(show);
        let each = self.each_uncompiled(&pulls, looked, |package, pulled| {
            let (loader, known) = (self.loader, self.known(package));
            let registered = progress.of(package, || {
                loader.register(package, package.engine, known, pulled)
            });
            registered.map(Some)
        });
        let each = self.refuse(each)?;
        Ok(each.into_iter().filter_map(Result::transpose).collect())
    }

    /// Like [`register`](Self::register), if all packages must be valid.
    pub(super) fn register_all(self, show: Show) -> Result<Vec<Registered>, StartError> {
        let each = self.register(show)?;
        Ok(each.into_iter().flatten().collect())
    }

    /// Checks each package without compiling it. Also validates its code if `thoroughly`, or if others would otherwise
    /// be compiled in vain.
    fn looked(&self, pulls: &Pulls, thoroughly: bool) -> Result<Vec<Looked>, StartError> {
        let none = self.config.packages.iter().map(|_| Ok(None)).collect();
        let looked = self.each_uncompiled(pulls, none, |package, pulled| {
            Ok(match self.find(package, pulled)? {
                Found::Registered(registered) => Some(*registered),
                Found::Component(_) => None,
            })
        });
        let uncompiled = looked.iter().filter(|looked| matches!(looked, Ok(None)));
        // For a single package the compiler does that.
        if !thoroughly && uncompiled.count() < 2 && !self.is_refused(&looked) {
            return Ok(looked);
        }
        let looked = self.each_uncompiled(pulls, looked, |package, pulled| {
            if let Found::Component(found) = self.find(package, pulled)? {
                self.loader.validate(&found, package, pulled)?;
            }
            Ok(None)
        });
        self.refuse(looked)
    }

    fn find(&self, package: &PackageConfig, pulled: Option<&Pulled>) -> Result<Found, PackageError> {
        self.loader
            .find(package, package.engine, self.known(package), pulled)
    }

    /// The registration of an unchanged package.
    fn known(&self, package: &PackageConfig) -> Option<&'a Registered> {
        let before = self.now?.package(package.name.app_id())?;
        let is_same = before.account.config.is_same(package);
        before.registered.as_ref().filter(|_| is_same)
    }

    /// Returns whether an invalid package is fatal.
    fn stops(&self, package: &PackageConfig) -> bool {
        let before = self.now.and_then(|now| now.package(package.name.app_id()));
        self.is_strict || self.config.server.strict || before.is_some_and(|before| before.registered.is_some())
    }

    /// Runs work for each package that is neither compiled nor invalid, once for those with the same pulled component.
    fn each_uncompiled(
        &self,
        pulls: &Pulls,
        looked: Vec<Looked>,
        work: impl Fn(&PackageConfig, Option<&Pulled>) -> Result<Option<Registered>, PackageError> + Sync,
    ) -> Vec<Looked> {
        let (config, batch) = (self.config, Batch::default());
        let one = |(package, looked): (&PackageConfig, Looked)| {
            let Ok(None) = looked else {
                return looked;
            };
            let pulled = pulls.of(package);
            let pulled = pulled.map_err(|error| config.at_source(package, error.into()))?;
            let done = batch.of(package, pulled, || work(package, pulled));
            done.map_err(|error| config.at_source(package, mistake(package, error)))
        };
        let each = config.packages.par_iter().zip(looked);
        self.loader.threads().install(|| each.map(one).collect())
    }

    /// Returns whether a mistake is fatal.
    fn is_refused(&self, looked: &[Looked]) -> bool {
        let mut each = self.config.packages.iter().zip(looked);
        !self.files.is_empty() || each.any(|(package, looked)| looked.is_err() && self.stops(package))
    }

    /// Returns all mistakes as an error if one of them is fatal.
    fn refuse(&self, looked: Vec<Looked>) -> Result<Vec<Looked>, StartError> {
        if !self.is_refused(&looked) {
            return Ok(looked);
        }
        let config = self.config;
        let failed = looked.into_iter().filter_map(Result::err).collect();
        if self.files.is_empty() {
            return Err(StartError::Packages(config.diagnostics(failed)));
        }
        let mut all = config.diagnostics(self.files.clone());
        all.merge(config.diagnostics(failed));
        Err(StartError::Packages(all))
    }
}

/// A package's diagnostic; the remedy is its build command, if its file is missing.
fn mistake(package: &PackageConfig, error: PackageError) -> Diagnostic {
    let mut mistake = Diagnostic::from(error);
    if mistake.code == Code::FileMissing && package.build.is_some() {
        mistake.help = format!("run `wasmgate build {}`, or correct the path", package.name);
    }
    mistake
}
