//! Registers a package's source: first what can be checked at once, then what needs the compiler.

use std::path::Path;

use wasmgate_common::read_file;
use wasmparser::{Validator, WasmFeatures};

use super::{
    super::{
        PackageError, adapted,
        cache::CompiledCode,
        check::{self, Form},
        image::{ImagePlan, Imaged},
        survey::{Start, Survey},
        world,
    },
    Loader, Origin, Registered,
    code::Work,
    invalid, key, snapshots,
};
use crate::{
    config::PackageConfig,
    engine::{Choice, EngineKind, Slots, Weighed, World},
    interfaces,
    registry::{MAX_COMPONENT, Pulled},
};

/// What is known of a package without compiling it.
pub(crate) enum Found {
    /// Everything: its code is on disk.
    Registered(Box<Registered>),
    /// A component that is valid as far as can be known without compiling.
    Component(Box<ToCompile>),
}

/// A component that has to be compiled.
pub(crate) struct ToCompile {
    component: Component,
    /// Its plan, unless its start-up has to run first.
    plan: Option<Plan>,
}

/// A component as it will be compiled, before images are extracted.
struct Component {
    bytes: Vec<u8>,
    survey: Survey,
    world: World,
    /// Its stored snapshot, if it is one.
    snapshot: Option<CompiledCode>,
}

/// How to compile a component.
struct Plan {
    imaged: Option<Imaged>,
    images: ImagePlan,
    choice: Choice,
    key: String,
}

impl Loader {
    /// Makes sure that the compiled code of a package is on disk, compiling it if necessary. The engine is `wanted`, or
    /// the one that suits the component. `known` is reused if the component is the same. A component from a registry
    /// was `pulled` before.
    ///
    /// # Errors
    /// When the file is not a component that this gateway can serve; the error says what to do.
    pub(crate) fn register(
        &self,
        package: &PackageConfig,
        wanted: Option<EngineKind>,
        known: Option<&Registered>,
        pulled: Option<&Pulled>,
    ) -> Result<Registered, PackageError> {
        match self.find(package, wanted, known, pulled)? {
            Found::Registered(registered) => Ok(*registered),
            Found::Component(found) => self.compile(*found, package, wanted, pulled),
        }
    }

    /// The part of [`register`](Self::register) that needs no compilation.
    ///
    /// # Errors
    /// Those of [`register`](Self::register) that need no compilation.
    pub(crate) fn find(
        &self,
        package: &PackageConfig,
        wanted: Option<EngineKind>,
        known: Option<&Registered>,
        pulled: Option<&Pulled>,
    ) -> Result<Found, PackageError> {
        let Origin { file, shown } = self.origin(package, pulled);
        let source = shown.as_path();
        let bytes = read_file(&file, MAX_COMPONENT).map_err(|error| PackageError::Unreadable { path: file, error })?;
        if let Some(pulled) = pulled {
            check::digest(&bytes, Some(pulled.component), source)?;
        }
        check::digest(&bytes, package.sha256, source)?;
        if let Some(known) = known
            && known.is_for(package)
            && self.is_still(known, &bytes, source)?
        {
            return Ok(Found::Registered(Box::new(Registered {
                pulled: pulled.cloned(),
                ..known.clone()
            })));
        }
        let mut component = self.component(bytes, package, source)?;
        if package.snapshot {
            let Some(kept) = self.kept_snapshot(&component.bytes) else {
                return Ok(Found::Component(Box::new(ToCompile {
                    component,
                    plan: None,
                })));
            };
            component = component.after_start_up(kept, package, source)?;
        }
        let plan = self.plan(&component, package, wanted, source)?;
        Ok(match self.cache.find(&component.bytes, &plan.key) {
            Some(code) => {
                self.metrics.cache_hits.inc();
                Found::Registered(Box::new(component.registered(code, plan, package, pulled)))
            }
            None => Found::Component(Box::new(ToCompile {
                component,
                plan: Some(plan),
            })),
        })
    }

    /// Compiles a component that [`find`](Self::find) returned.
    fn compile(
        &self,
        found: ToCompile,
        package: &PackageConfig,
        wanted: Option<EngineKind>,
        pulled: Option<&Pulled>,
    ) -> Result<Registered, PackageError> {
        let Origin { shown, .. } = self.origin(package, pulled);
        let source = shown.as_path();
        let ToCompile {
            mut component,
            plan,
        } = found;
        let plan = match plan {
            Some(plan) => plan,
            None => {
                let kept = self.snapshot(&component.bytes, package.limits.memory, source)?;
                component = component.after_start_up(kept, package, source)?;
                self.plan(&component, package, wanted, source)?
            }
        };
        // Shipped code was compiled from the original component.
        let shipped = pulled.filter(|_| package.compiled && component.snapshot.is_none());
        let work = Work {
            id: plan.choice.id(),
            bytes: &component.bytes,
            imaged: plan.imaged.as_ref(),
            key: &plan.key,
            source,
        };
        let code = self.code(work, shipped)?;
        Ok(component.registered(code, plan, package, pulled))
    }

    /// Validates a component that has to be compiled, as the compiler would.
    ///
    /// # Errors
    /// When it is invalid.
    pub(crate) fn validate(
        &self,
        found: &ToCompile,
        package: &PackageConfig,
        pulled: Option<&Pulled>,
    ) -> Result<(), PackageError> {
        let Origin { shown, .. } = self.origin(package, pulled);
        // With all features: the compiler itself reports those that it does not know.
        let mut validator = Validator::new_with_features(WasmFeatures::all());
        let valid = validator.validate_all(&found.component.bytes);
        valid.map(|_| ()).map_err(|error| invalid(&error, &shown))
    }

    /// The component of a source.
    fn component(&self, bytes: Vec<u8>, package: &PackageConfig, source: &Path) -> Result<Component, PackageError> {
        let bytes = match check::preamble(&bytes, package.kind, source)? {
            Form::Component => bytes,
            Form::Module => adapted::component(&self.cache, &self.compiler, &bytes, source)?,
        };
        let survey = read(&bytes, source)?;
        let world = world::of(&survey, package.kind, package.next.is_some(), source)?;
        if package.reuse > 1 {
            world::reused(world, source)?;
        }
        check::imports(&survey.imports, source)?;
        check::start(&survey.start, package.limits.memory, source)?;
        Ok(Component {
            bytes,
            survey,
            world,
            snapshot: None,
        })
    }

    /// How to compile a component.
    fn plan(
        &self,
        component: &Component,
        package: &PackageConfig,
        wanted: Option<EngineKind>,
        source: &Path,
    ) -> Result<Plan, PackageError> {
        let Component {
            bytes,
            survey,
            world,
            ..
        } = component;
        let imaged = match wanted {
            Some(EngineKind::CopyOnWrite) => None,
            _ => Imaged::of(bytes, survey).map_err(|error| invalid(&error, source))?,
        };
        let weighed = Weighed {
            world: *world,
            stack: package.limits.stack,
            active_data: survey.active_data,
            imaged: imaged.as_ref().map_or(0, Imaged::data),
        };
        let choice = self.engines.choose(weighed, wanted);
        let imaged = imaged.filter(|_| choice.engine == EngineKind::Pool);
        let images = imaged.as_ref().map(Imaged::plan).unwrap_or_default();
        let key = key(self.engine(choice.id(), source)?, &images);
        Ok(Plan {
            imaged,
            images,
            choice,
            key,
        })
    }

    /// Returns whether code is that of these bytes and still exists.
    fn is_still(&self, known: &Registered, bytes: &[u8], source: &Path) -> Result<bool, PackageError> {
        let is_of = match &known.snapshot {
            Some(snapshot) => snapshot.is_of(bytes, snapshots::KEY),
            None => {
                let key = key(self.engine(known.choice.id(), source)?, &known.images);
                known.code.is_of(bytes, &key)
            }
        };
        Ok(is_of && known.code.check().is_ok())
    }
}

impl Component {
    /// The same component after its start-up, stored as `kept`.
    fn after_start_up(self, kept: CompiledCode, package: &PackageConfig, source: &Path) -> Result<Self, PackageError> {
        let bytes = kept.read().map_err(|error| PackageError::Cache {
            path: kept.path().to_owned(),
            error,
        })?;
        let survey = read(&bytes, source)?;
        check::start(&survey.start, package.limits.memory, source)?;
        Ok(Self {
            bytes,
            survey,
            snapshot: Some(kept),
            ..self
        })
    }

    /// The registration with its code.
    fn registered(
        self,
        code: CompiledCode,
        plan: Plan,
        package: &PackageConfig,
        pulled: Option<&Pulled>,
    ) -> Registered {
        Registered {
            choice: plan.choice,
            code,
            snapshot: self.snapshot,
            images: plan.images,
            slots: slots(self.world, &self.survey.start),
            globals: self.survey.start.globals,
            interfaces: offered(&self.survey),
            is_middleware: package.next.is_some(),
            pulled: pulled.cloned(),
        }
    }
}

fn read(bytes: &[u8], source: &Path) -> Result<Survey, PackageError> {
    Survey::parse(bytes).map_err(|error| invalid(&error, source))
}

/// A component's imports among the interfaces that are provided beside WASI.
fn offered(survey: &Survey) -> Vec<String> {
    let imports = survey.imports.iter();
    imports
        .filter(|name| interfaces::offers(name))
        .cloned()
        .collect()
}

/// The slots that an instance takes. In WASI 0.3 each nested component may wait in a call on its own stack.
fn slots(world: World, start: &Start) -> Slots {
    let number = |count: u64| usize::try_from(count).unwrap_or(usize::MAX);
    Slots {
        memories: number(start.memories),
        tables: number(start.tables),
        instances: if world.is_concurrent() {
            number(start.components.saturating_add(1))
        } else {
            1
        },
    }
}
