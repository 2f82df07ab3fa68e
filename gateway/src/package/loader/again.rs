//! Recompiles lost code beside the requests.

use std::sync::Arc;

use super::{
    super::{Package, PackageError},
    Loader,
};

impl Loader {
    /// Compiles lost code of a package again, beside the requests.
    pub(in super::super) fn recompile(self: &Arc<Self>, package: &Arc<Package>) {
        let loader = Arc::clone(self);
        self.recompilation.add(package, || {
            self.threads().spawn(move || loader.compile_waiting())
        });
    }

    fn compile_waiting(&self) {
        while let Some(package) = self.recompilation.next() {
            match self.compile_again(&package) {
                Ok(()) => {
                    tracing::info!(package = %package.name(), "lost code was compiled again");
                    package.recovered();
                }
                Err(error) => {
                    package.failed(&error);
                    self.recompilation.rest(package);
                }
            }
        }
    }

    fn compile_again(&self, package: &Package) -> Result<(), PackageError> {
        let registered = package.registered.as_ref().ok_or(PackageError::Unfit)?;
        let (wanted, before) = (registered.choice.engine, &registered.code);
        let (config, pulled) = (&package.account.config, registered.pulled.as_ref());
        let _door = self.door();
        let made = self.register(config, Some(wanted), None, pulled)?;
        // The name of compiled code is the digest of its source.
        if made.code.path() != before.path() {
            return Err(PackageError::SourceChanged {
                path: self.origin(config, pulled).shown,
            });
        }
        Ok(())
    }
}
