//! How the modules of a component are linked: which are instantiated, in which order, with which imports.

use std::{collections::BTreeSet, ops::Range, rc::Rc};

use wasmparser::{
    CanonicalFunction, CanonicalOption, ComponentAlias, ComponentExternalKind, ComponentInstance,
    ComponentOuterAliasKind, ExternalKind, Instance, Parser, Payload,
};

use super::{INITIALIZER, NoSnapshot, Why};

/// The modules of a component and how they are put together.
#[derive(Default)]
pub(super) struct Wiring<'a> {
    /// Where the modules are, by their indices.
    modules: Vec<Range<usize>>,
    /// The instances, in the order in which they are made.
    pub(super) instances: Vec<CoreInstance<'a>>,
    initializer: Option<CoreItem<'a>>,
    exports: Vec<&'a str>,
}

/// An instance of a module, or a bag of items that stands for one.
pub(super) enum CoreInstance<'a> {
    /// A module's, with the instances that it imports from by their names.
    Module {
        module: u32,
        with: Vec<(&'a str, usize)>,
    },
    /// Items by their names.
    Items(Vec<(&'a str, CoreItem<'a>)>),
}

/// A function, memory, table, global or tag.
#[derive(Clone)]
pub(super) enum CoreItem<'a> {
    /// An instance's export.
    Export { instance: usize, name: &'a str },
    /// A function that leads out of the component's own code.
    Host(Rc<HostFunction<'a>>),
}

/// A function that leads out of the component's own code.
pub(super) struct HostFunction<'a> {
    /// Its name: `interface#function`, or what it does.
    pub(super) name: String,
    /// The memory that its arguments point to.
    pub(super) memory: Option<CoreItem<'a>>,
    /// It is no import, and does nothing of which anything is left.
    pub(super) is_harmless: bool,
}

impl<'a> Wiring<'a> {
    /// Reads a component.
    ///
    /// # Errors
    /// When it is put together in a way that is not known here, or cannot be read.
    pub(super) fn read(component: &'a [u8]) -> Result<Self, NoSnapshot> {
        let mut reading = Reading::default();
        let mut depth = 0_usize;
        for payload in Parser::new(0).parse_all(component) {
            let payload = payload?;
            match &payload {
                Payload::Version { .. } => depth += 1,
                Payload::End(_) => depth = depth.saturating_sub(1),
                Payload::ModuleSection { .. } if depth > 1 => {
                    return Err(NoSnapshot::unsupported(
                        "it is composed of several components, and a snapshot is taken of one alone",
                    ));
                }
                _ if depth == 1 => reading.section(payload)?,
                _ => {}
            }
        }
        Ok(reading.wiring)
    }

    /// Where a module is.
    ///
    /// # Errors
    /// When there is none of this index.
    pub(super) fn module(&self, index: u32) -> Result<&Range<usize>, NoSnapshot> {
        at(&self.modules, index)
    }

    /// The modules that are instantiated.
    ///
    /// # Errors
    /// When one is more than once: it cannot begin with two states.
    pub(super) fn instantiated(&self) -> Result<BTreeSet<u32>, NoSnapshot> {
        let mut all = BTreeSet::new();
        for instance in &self.instances {
            if let CoreInstance::Module { module, .. } = instance
                && !all.insert(*module)
            {
                return Err(NoSnapshot::unsupported(
                    "it instantiates one of its modules more than once",
                ));
            }
        }
        Ok(all)
    }

    /// The function that does the start-up.
    ///
    /// # Errors
    /// When none is exported.
    pub(super) fn initializer(&self) -> Result<&CoreItem<'a>, NoSnapshot> {
        self.initializer.as_ref().ok_or_else(|| NoSnapshot {
            why: Why::NoInitializer,
            what: format!(
                "it exports no function `{INITIALIZER}` that does the start-up; it exports {}",
                if self.exports.is_empty() {
                    "nothing".to_owned()
                } else {
                    self.exports.join(", ")
                }
            ),
        })
    }
}

/// A component function.
#[derive(Clone)]
enum Function {
    /// One that comes from outside or from a component within, by its name.
    Named(String),
    /// One of the component's own code.
    Lifted(u32),
}

/// A component as far as it has been read.
#[derive(Default)]
struct Reading<'a> {
    wiring: Wiring<'a>,
    functions: Vec<Function>,
    /// Instances of components, by the names under which they are imported.
    instances: Vec<String>,
    core_functions: Vec<CoreItem<'a>>,
    memories: Vec<CoreItem<'a>>,
    tables: Vec<CoreItem<'a>>,
    globals: Vec<CoreItem<'a>>,
    tags: Vec<CoreItem<'a>>,
}

impl<'a> Reading<'a> {
    fn section(&mut self, payload: Payload<'a>) -> Result<(), NoSnapshot> {
        match payload {
            Payload::ModuleSection {
                unchecked_range, ..
            } => self.wiring.modules.push(unchecked_range),
            Payload::InstanceSection(instances) => {
                for instance in instances {
                    self.core_instance(&instance?)?;
                }
            }
            Payload::ComponentInstanceSection(instances) => {
                for instance in instances {
                    let name = match instance? {
                        ComponentInstance::Instantiate { .. } => "a component within",
                        ComponentInstance::FromExports(_) => "an instance of its own",
                    };
                    self.instances.push(name.to_owned());
                }
            }
            Payload::ComponentAliasSection(aliases) => {
                for alias in aliases {
                    self.alias(&alias?)?;
                }
            }
            Payload::ComponentCanonicalSection(functions) => {
                for function in functions {
                    self.canonical(&function?)?;
                }
            }
            Payload::ComponentImportSection(imports) => {
                for import in imports {
                    let import = import?;
                    self.declare(import.ty.kind(), import.name.name, None)?;
                }
            }
            Payload::ComponentExportSection(exports) => {
                for export in exports {
                    let export = export?;
                    let name = export.name.name;
                    self.wiring.exports.push(name);
                    self.declare(export.kind, name, Some(export.index))?;
                    if name == INITIALIZER
                        && let Some(Function::Lifted(index)) = self.functions.last()
                    {
                        self.wiring.initializer = Some(at(&self.core_functions, *index)?.clone());
                    }
                }
            }
            Payload::ComponentStartSection { .. } => {
                return Err(NoSnapshot::unsupported(
                    "it has a start function of its own",
                ));
            }
            _ => {}
        }
        Ok(())
    }

    fn core_instance(&mut self, instance: &Instance<'a>) -> Result<(), NoSnapshot> {
        let instance = match instance {
            Instance::Instantiate { module_index, args } => CoreInstance::Module {
                module: *module_index,
                with: args
                    .iter()
                    .map(|arg| (arg.name, number(arg.index)))
                    .collect(),
            },
            Instance::FromExports(exports) => {
                let mut items = Vec::with_capacity(exports.len());
                for export in exports {
                    let item = at(self.space(export.kind), export.index)?;
                    items.push((export.name, item.clone()));
                }
                CoreInstance::Items(items)
            }
        };
        self.wiring.instances.push(instance);
        Ok(())
    }

    fn alias(&mut self, alias: &ComponentAlias<'a>) -> Result<(), NoSnapshot> {
        match *alias {
            ComponentAlias::CoreInstanceExport {
                kind,
                instance_index,
                name,
            } => {
                let instance = number(instance_index);
                self.space(kind).push(CoreItem::Export { instance, name });
            }
            ComponentAlias::InstanceExport {
                kind,
                instance_index,
                name,
            } => {
                let name = match kind {
                    ComponentExternalKind::Func => format!("{}#{name}", at(&self.instances, instance_index)?),
                    _ => name.to_owned(),
                };
                self.declare(kind, &name, None)?;
            }
            ComponentAlias::Outer {
                kind: ComponentOuterAliasKind::CoreModule | ComponentOuterAliasKind::Component,
                ..
            } => return Err(values()),
            ComponentAlias::Outer { .. } => {}
        }
        Ok(())
    }

    fn canonical(&mut self, function: &CanonicalFunction) -> Result<(), NoSnapshot> {
        let host = match function {
            CanonicalFunction::Lift {
                core_func_index, ..
            } => {
                self.functions.push(Function::Lifted(*core_func_index));
                return Ok(());
            }
            CanonicalFunction::Lower {
                func_index,
                options,
            } => {
                let name = match at(&self.functions, *func_index)? {
                    Function::Named(name) => name.clone(),
                    Function::Lifted(_) => "a function of its own".to_owned(),
                };
                let memory = options.iter().find_map(|option| match option {
                    CanonicalOption::Memory(index) => Some(*index),
                    _ => None,
                });
                let memory = memory.map(|index| at(&self.memories, index).cloned());
                HostFunction {
                    name,
                    memory: memory.transpose()?,
                    is_harmless: false,
                }
            }
            CanonicalFunction::ResourceDrop { .. } => HostFunction {
                name: "resource.drop".to_owned(),
                memory: None,
                is_harmless: true,
            },
            other => {
                let name = format!("{other:?}");
                let name = name.split([' ', '{', '(']).next().unwrap_or_default();
                HostFunction {
                    name: format!("the component model's {name}"),
                    memory: None,
                    is_harmless: false,
                }
            }
        };
        self.core_functions.push(CoreItem::Host(Rc::new(host)));
        Ok(())
    }

    /// Gives an index to what is imported, taken from an instance or exported; the latter is what has the index `of`.
    fn declare(&mut self, kind: ComponentExternalKind, name: &str, of: Option<u32>) -> Result<(), NoSnapshot> {
        match kind {
            ComponentExternalKind::Func => {
                let function = match of {
                    Some(index) => at(&self.functions, index)?.clone(),
                    None => Function::Named(name.to_owned()),
                };
                self.functions.push(function);
            }
            ComponentExternalKind::Instance => {
                let name = match of {
                    Some(index) => at(&self.instances, index)?.clone(),
                    None => name.to_owned(),
                };
                self.instances.push(name);
            }
            ComponentExternalKind::Module | ComponentExternalKind::Component | ComponentExternalKind::Value => {
                return Err(values());
            }
            ComponentExternalKind::Type => {}
        }
        Ok(())
    }

    /// The items of a kind, by their indices.
    fn space(&mut self, kind: ExternalKind) -> &mut Vec<CoreItem<'a>> {
        match kind {
            ExternalKind::Func | ExternalKind::FuncExact => &mut self.core_functions,
            ExternalKind::Memory => &mut self.memories,
            ExternalKind::Table => &mut self.tables,
            ExternalKind::Global => &mut self.globals,
            ExternalKind::Tag => &mut self.tags,
        }
    }
}

fn values() -> NoSnapshot {
    NoSnapshot::unsupported("it is given modules, components or values, or passes some on")
}

fn at<T>(space: &[T], index: u32) -> Result<&T, NoSnapshot> {
    space
        .get(number(index))
        .ok_or_else(|| NoSnapshot::unsupported("it is not a valid component: an index names nothing"))
}

fn number(index: u32) -> usize {
    usize::try_from(index).unwrap_or(usize::MAX)
}
