//! Runs a start-up, and reads the resulting state.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        mpsc::{self, RecvTimeoutError},
    },
    thread,
};

use wasmtime::{
    AsContextMut as _, Engine, Extern, ExternType, Func, Instance, Memory, Module, Store, Trap, Val, WasmBacktrace,
};

use super::{
    INITIALIZER, NoSnapshot, SnapshotLimits, Why, host,
    host::Seen,
    instrument::{global_name, memory_name, with_exports},
    scan::Shape,
    wiring::{CoreInstance, CoreItem, HostFunction, Wiring},
};

/// The state of a module's instance.
pub(super) struct ModuleState {
    /// The sizes of its memories, in pages.
    pub(super) pages: Vec<u64>,
    /// What of them is not zero, with the memory's index and whether that is one of 64 bits.
    pub(super) data: Vec<Segment>,
    /// The globals that can change, by their indices.
    pub(super) globals: BTreeMap<u32, Number>,
}

/// A part of a memory.
pub(super) struct Segment {
    pub(super) memory: u32,
    pub(super) is_wide: bool,
    pub(super) at: u64,
    pub(super) bytes: Vec<u8>,
}

/// What a global holds, as its bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Number {
    I32(i32),
    I64(i64),
    F32(u32),
    F64(u64),
    V128(u128),
}

/// Instantiates the modules of a component, has its start-up run, and reads the state of each.
///
/// # Errors
/// When it breaks a rule for start-ups.
pub(super) fn run(
    component: &[u8],
    wiring: &Wiring<'_>,
    shapes: &BTreeMap<u32, Shape>,
    engine: &Engine,
    limits: SnapshotLimits,
) -> Result<BTreeMap<u32, ModuleState>, NoSnapshot> {
    let initializer = wiring.initializer()?;
    let mut modules = BTreeMap::new();
    for (index, shape) in shapes {
        let bytes = component
            .get(wiring.module(*index)?.clone())
            .unwrap_or_default();
        let module = Module::new(engine, with_exports(bytes, shape)?);
        let module = module.map_err(|error| NoSnapshot::unsupported(format!("{error:#}")))?;
        modules.insert(*index, module);
    }
    let mut running = Running {
        store: store(engine, limits.memory),
        wiring,
        made: Vec::new(),
    };
    let clock = clock(engine, limits)?;
    let ended = running.start(&modules, initializer);
    drop(clock);
    match ended {
        Ok(true) => {}
        Ok(false) => {
            return Err(NoSnapshot {
                why: Why::NoInitializer,
                what: format!("its function `{INITIALIZER}` takes or returns something"),
            });
        }
        Err(error) => return Err(why(&error, running.store.data(), limits)),
    }
    if let Some(name) = &running.store.data().called {
        return Err(called(name));
    }
    running.read(shapes)
}

fn store(engine: &Engine, memory: u64) -> Store<Seen> {
    let mut store = Store::new(engine, Seen::new(memory));
    store.limiter(|seen| seen);
    store.epoch_deadline_trap();
    store.set_epoch_deadline(1);
    store
}

/// Ends what runs in an engine when its time is up, unless this is dropped before.
fn clock(engine: &Engine, limits: SnapshotLimits) -> Result<mpsc::Sender<()>, NoSnapshot> {
    let (running, is_over) = mpsc::channel();
    let engine = engine.clone();
    let clock = thread::Builder::new().name("start-up".to_owned());
    let started = clock.spawn(move || {
        if is_over.recv_timeout(limits.time) == Err(RecvTimeoutError::Timeout) {
            engine.increment_epoch();
        }
    });
    match started {
        Ok(_) => Ok(running),
        Err(error) => Err(NoSnapshot::unsupported(format!(
            "there is no thread for its clock: {error}"
        ))),
    }
}

/// A component whose modules are being instantiated.
struct Running<'a> {
    store: Store<Seen>,
    wiring: &'a Wiring<'a>,
    /// Its instances so far; none for bags of items.
    made: Vec<Option<Instance>>,
}

impl<'a> Running<'a> {
    /// Has the start-up run; false if it is of another type.
    fn start(&mut self, modules: &BTreeMap<u32, Module>, initializer: &CoreItem<'a>) -> wasmtime::Result<bool> {
        let wiring = self.wiring;
        for instance in &wiring.instances {
            let made = match instance {
                CoreInstance::Module { module, with } => {
                    let module = modules.get(module).ok_or_else(missing)?;
                    Some(self.instantiate(module, with)?)
                }
                CoreInstance::Items(_) => None,
            };
            self.made.push(made);
        }
        let start_up = self
            .item(initializer, None)?
            .into_func()
            .ok_or_else(missing)?;
        let Ok(start_up) = start_up.typed::<(), ()>(&self.store) else {
            return Ok(false);
        };
        start_up.call(&mut self.store, ())?;
        Ok(true)
    }

    fn instantiate(&mut self, module: &Module, with: &[(&'a str, usize)]) -> wasmtime::Result<Instance> {
        let mut imports = Vec::new();
        for import in module.imports() {
            let from = with.iter().find(|(name, _)| *name == import.module());
            let (_, from) = from.ok_or_else(missing)?;
            imports.push(self.export(*from, import.name(), Some(&import.ty()))?);
        }
        Instance::new(&mut self.store, module, &imports)
    }

    /// What an instance exports by this name; a function that leads outside has the type that is `wanted`.
    fn export(&mut self, instance: usize, name: &str, wanted: Option<&ExternType>) -> wasmtime::Result<Extern> {
        if let Some(made) = self.made.get(instance).copied().flatten() {
            return made.get_export(&mut self.store, name).ok_or_else(missing);
        }
        let Some(CoreInstance::Items(items)) = self.wiring.instances.get(instance) else {
            return Err(missing());
        };
        let item = items.iter().find(|(own, _)| *own == name);
        let (_, item) = item.ok_or_else(missing)?;
        self.item(item, wanted)
    }

    fn item(&mut self, item: &CoreItem<'a>, wanted: Option<&ExternType>) -> wasmtime::Result<Extern> {
        match item {
            CoreItem::Export { instance, name } => self.export(*instance, name, wanted),
            CoreItem::Host(host) => self.host(host, wanted),
        }
    }

    fn host(&mut self, host: &HostFunction<'a>, wanted: Option<&ExternType>) -> wasmtime::Result<Extern> {
        let ty = wanted.and_then(ExternType::func).ok_or_else(missing)?;
        let memory = match &host.memory {
            Some(memory) => self.item(memory, None)?.into_memory(),
            None => None,
        };
        let name: Arc<str> = host.name.as_str().into();
        let is_harmless = host.is_harmless;
        let function = Func::new(
            &mut self.store,
            ty.clone(),
            move |caller, parameters, results| {
                if is_harmless {
                    return Ok(());
                }
                host::call(caller, &name, memory, parameters, results)
            },
        );
        Ok(function.into())
    }

    /// Reads the state of each module.
    fn read(&mut self, shapes: &BTreeMap<u32, Shape>) -> Result<BTreeMap<u32, ModuleState>, NoSnapshot> {
        let mut states = BTreeMap::new();
        for (instance, made) in self.wiring.instances.iter().zip(&self.made) {
            if let (CoreInstance::Module { module, .. }, Some(made)) = (instance, made)
                && let Some(shape) = shapes.get(module)
            {
                states.insert(*module, state(&mut self.store, *made, shape)?);
            }
        }
        Ok(states)
    }
}

/// An item is not where the component says, or not what it says.
fn missing() -> wasmtime::Error {
    wasmtime::Error::msg("the component is not put together as it says")
}

fn state(store: &mut Store<Seen>, instance: Instance, shape: &Shape) -> Result<ModuleState, NoSnapshot> {
    let unreadable = || NoSnapshot::unsupported("what one of its modules holds cannot be read");
    let mut state = ModuleState {
        pages: Vec::new(),
        data: Vec::new(),
        globals: BTreeMap::new(),
    };
    for (index, ty) in &shape.memories {
        let memory = instance
            .get_memory(&mut *store, &memory_name(*index))
            .ok_or_else(unreadable)?;
        state.pages.push(memory.size(&*store));
        let parts = parts(store, memory);
        state
            .data
            .extend(parts.into_iter().map(|(at, bytes)| Segment {
                memory: *index,
                is_wide: ty.memory64,
                at,
                bytes,
            }));
    }
    for index in &shape.globals {
        let global = instance
            .get_global(&mut *store, &global_name(*index))
            .ok_or_else(unreadable)?;
        let number = match global.get(store.as_context_mut()) {
            Val::I32(number) => Number::I32(number),
            Val::I64(number) => Number::I64(number),
            Val::F32(bits) => Number::F32(bits),
            Val::F64(bits) => Number::F64(bits),
            Val::V128(bits) => Number::V128(bits.as_u128()),
            _ => return Err(unreadable()),
        };
        state.globals.insert(*index, number);
    }
    Ok(state)
}

/// Bytes that are looked at together: zeros between data that are fewer are copied with it.
const BLOCK_BYTES: usize = 4096;

/// The most parts of one memory: wasmtime takes a hundred thousand data segments of a module.
const MOST_PARTS: usize = 20_000;

/// The parts of a memory that are not zero, and where they are.
fn parts(store: &Store<Seen>, memory: Memory) -> Vec<(u64, Vec<u8>)> {
    let data = memory.data(store);
    let block = BLOCK_BYTES.max(data.len() / MOST_PARTS);
    let mut parts = Vec::<(u64, Vec<u8>)>::new();
    let mut goes_on = false;
    for (number, bytes) in data.chunks(block).enumerate() {
        let is_zero = bytes.iter().all(|byte| *byte == 0);
        match parts.last_mut() {
            _ if is_zero => {}
            Some((_, part)) if goes_on => part.extend_from_slice(bytes),
            _ => parts.push(((number * block) as u64, bytes.to_vec())),
        }
        goes_on = !is_zero;
    }
    for (at, part) in &mut parts {
        let first = part.iter().position(|byte| *byte != 0).unwrap_or(0);
        let last = part.iter().rposition(|byte| *byte != 0).unwrap_or(0);
        part.truncate(last + 1);
        part.drain(..first);
        *at += first as u64;
    }
    parts
}

fn called(name: &str) -> NoSnapshot {
    NoSnapshot {
        why: Why::Import,
        what: format!("its start-up calls the import `{name}`, and nothing outside of the component may be asked then"),
    }
}

/// Why a start-up ended before its end.
fn why(error: &wasmtime::Error, seen: &Seen, limits: SnapshotLimits) -> NoSnapshot {
    if seen.is_over {
        return NoSnapshot {
            why: Why::Memory,
            what: format!(
                "its start-up takes more than the {} bytes of memory that `limits.memory` allows",
                limits.memory
            ),
        };
    }
    let trap = error.downcast_ref::<Trap>();
    if trap == Some(&Trap::Interrupt) {
        return NoSnapshot {
            why: Why::Time,
            what: format!(
                "its start-up is not over after {}",
                humantime::format_duration(limits.time)
            ),
        };
    }
    let said = String::from_utf8_lossy(&seen.said);
    let said = said.trim();
    match &seen.called {
        Some(name) if said.is_empty() => called(name),
        Some(_) => NoSnapshot {
            why: Why::Trap,
            what: format!("its start-up died, and said: {said}"),
        },
        None => {
            let frame = error
                .downcast_ref::<WasmBacktrace>()
                .and_then(|trace| trace.frames().first()?.func_name());
            let place = frame.map_or(String::new(), |name| {
                format!(" in `{:#}`", rustc_demangle::demangle(name))
            });
            let cause = match trap {
                Some(trap) => trap.to_string(),
                None => error.root_cause().to_string(),
            };
            NoSnapshot {
                why: Why::Trap,
                what: format!("its start-up died{place}: {cause}"),
            }
        }
    }
}
