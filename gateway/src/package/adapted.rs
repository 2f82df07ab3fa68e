//! Cache of adapted WASI 0.1 programs, beside compiled code.

use std::{
    fs::File,
    io::{self, Read as _, Seek as _},
    path::Path,
};

use super::{
    PackageError, adapt,
    cache::CodeCache,
    check,
    compiler::{Compiler, Task, Uncompiled},
};

/// The component made from a module; `source` is its name in messages.
///
/// # Errors
/// When it is not a WASI 0.1 program, or cannot be turned into a component.
pub(super) fn component(
    cache: &CodeCache,
    compiler: &Compiler,
    module: &[u8],
    source: &Path,
) -> Result<Vec<u8>, PackageError> {
    let no_program = |why: String| PackageError::NoProgram {
        path: source.to_owned(),
        why,
    };
    let lack = adapt::lack(module).map_err(|error| no_program(error.to_string()))?;
    if let Some(why) = lack {
        return Err(no_program(why));
    }
    let key = adapt::KEY.as_str();
    loop {
        if let Some(kept) = cache.find(module, key)
            && let Ok(component) = kept.read()
        {
            return Ok(component);
        }
        let made = if Compiler::is_apart() {
            let path = cache.path(module, key);
            let made = compiler.make(&path, Task::Adapt, module, read);
            let made = made.map_err(|why| match why {
                Uncompiled::Wrong(why) => no_program(why),
                other => check::not_compiled(other, source),
            });
            made?
                .transpose()
                .map_err(|error| PackageError::Cache { path, error })?
        } else {
            Some(adapt::component(module).map_err(no_program)?)
        };
        // Another thread may have made it, and it is in the cache by now.
        if let Some(component) = made {
            cache.keep(module, key, component.as_slice())?;
            return Ok(component);
        }
    }
}

/// Reads a whole file.
fn read(mut file: File) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.rewind()?;
    file.read_to_end(&mut bytes)?;
    Ok(bytes)
}
