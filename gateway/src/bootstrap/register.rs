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

/// The packages of a configuration, and what is to be told with their mistakes.
pub(super) struct Together<'a> {
    config: &'a Config,
    loader: &'a Loader,
    /// The gateway whose successor is to serve them.
    now: Option<&'a Gateway>,
    /// Each must be fit to be served; else that is for the configuration to say.
    is_strict: bool,
    /// Mistakes in component files, told before the packages'.
    files: Vec<Diagnostic>,
}

/// A package as far as it is known: without code it is to be compiled.
type Looked = Result<Option<Registered>, Diagnostic>;

impl<'a> Together<'a> {
    /// Packages of which none is known, and none may be unfit.
    pub(super) fn new(config: &'a Config, loader: &'a Loader) -> Self {
        Self {
            config,
            loader,
            now: None,
            is_strict: true,
            files: Vec::new(),
        }
    }

    /// With packages that may be unfit if the configuration is not strict.
    pub(super) fn not_strictly(self) -> Self {
        Self {
            is_strict: false,
            ..self
        }
    }

    /// The same where a gateway serves already: what is known there of a package that is configured as before still
    /// holds, and one that is served there is not given up.
    pub(super) fn behind(self, now: &'a Gateway) -> Self {
        Self {
            now: Some(now),
            ..self.not_strictly()
        }
    }

    /// With the component files that they use.
    pub(super) fn with_files(self) -> Self {
        let found = dapr::check(self.config);
        self.and(found)
    }

    /// With component files that nothing uses.
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

    /// Tells what can be told without compiling anything.
    ///
    /// # Errors
    /// With all mistakes that are found, if one of them keeps the packages from being served.
    pub(super) fn look(self) -> Result<(), StartError> {
        let _door = self.loader.door();
        let pulls = self.loader.registry().pull(self.config);
        self.looked(&pulls, true).map(drop)
    }

    /// Compiles what is not compiled yet, as many packages at once as there are cores; answers with each in the order
    /// of the configuration.
    ///
    /// # Errors
    /// With all mistakes that can be told without compiling anything, if one of them keeps the packages from being
    /// served: nothing is compiled then. Otherwise with those that were found by compiling, if one of them does.
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

    /// As [`register`](Self::register), of packages none of which may be unfit.
    pub(super) fn register_all(self, show: Show) -> Result<Vec<Registered>, StartError> {
        let each = self.register(show)?;
        Ok(each.into_iter().flatten().collect())
    }

    /// Looks at each without compiling it; at its code, too, if it is told `thoroughly` or others would be compiled
    /// for nothing.
    fn looked(&self, pulls: &Pulls, thoroughly: bool) -> Result<Vec<Looked>, StartError> {
        let none = self.config.packages.iter().map(|_| Ok(None)).collect();
        let looked = self.each_uncompiled(pulls, none, |package, pulled| {
            Ok(match self.find(package, pulled)? {
                Found::Registered(registered) => Some(*registered),
                Found::Component(_) => None,
            })
        });
        let uncompiled = looked.iter().filter(|looked| matches!(looked, Ok(None)));
        // One alone is told by its compiler.
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

    /// What is known of a package that is configured as before.
    fn known(&self, package: &PackageConfig) -> Option<&'a Registered> {
        let before = self.now?.package(package.name.app_id())?;
        let is_same = before.account.config.is_same(package);
        before.registered.as_ref().filter(|_| is_same)
    }

    /// Returns whether a package that cannot be served keeps the others from it.
    fn stops(&self, package: &PackageConfig) -> bool {
        let before = self.now.and_then(|now| now.package(package.name.app_id()));
        self.is_strict || self.config.server.strict || before.is_some_and(|before| before.registered.is_some())
    }

    /// Does something with each package that is neither compiled nor wrong, once with those that are pulled alike.
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

    /// Returns whether a mistake keeps the packages from being served.
    fn is_refused(&self, looked: &[Looked]) -> bool {
        let mut each = self.config.packages.iter().zip(looked);
        !self.files.is_empty() || each.any(|(package, looked)| looked.is_err() && self.stops(package))
    }

    /// Tells all mistakes if one of them keeps the packages from being served.
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

/// A package's error; the help is its build command, if that is what is missing.
fn mistake(package: &PackageConfig, error: PackageError) -> Diagnostic {
    let mut mistake = Diagnostic::from(error);
    if mistake.code == Code::FileMissing && package.build.is_some() {
        mistake.help = format!("run `wasmgate build {}`, or correct the path", package.name);
    }
    mistake
}
