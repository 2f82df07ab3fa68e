//! The imports of a start-up: none of them works. A call is recorded, and output before a trap is read, since it
//! usually has the reason.

use wasmtime::{Caller, Memory, ResourceLimiter, Val};

/// The most that is read of what a start-up prints.
const MOST_SAID: usize = 2 << 10;

/// The cost of a table's element to the host, in bytes.
const ELEMENT_BYTES: usize = 8;

/// What a start-up did that it must not.
#[derive(Default)]
pub(super) struct Seen {
    /// The first import that it called.
    pub(super) called: Option<String>,
    /// What it printed.
    pub(super) said: Vec<u8>,
    /// It wanted more memory than it may have.
    pub(super) is_over: bool,
    /// The bytes that it may still have.
    left: usize,
}

impl Seen {
    /// Nothing so far, of a start-up that may take so many bytes.
    pub(super) fn new(memory: u64) -> Self {
        Self {
            left: usize::try_from(memory).unwrap_or(usize::MAX),
            ..Self::default()
        }
    }

    fn take(&mut self, bytes: usize) -> bool {
        match self.left.checked_sub(bytes) {
            Some(left) => self.left = left,
            None => self.is_over = true,
        }
        !self.is_over
    }
}

impl ResourceLimiter for Seen {
    fn memory_growing(&mut self, current: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        Ok(self.take(desired.saturating_sub(current)))
    }

    fn table_growing(&mut self, current: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        let more = desired.saturating_sub(current);
        Ok(self.take(more.saturating_mul(ELEMENT_BYTES)))
    }
}

/// Notes that an import was called, and answers what a panic needs to say its message.
///
/// # Errors
/// When it is anything else, which ends the start-up.
pub(super) fn call(
    mut caller: Caller<'_, Seen>,
    name: &str,
    memory: Option<Memory>,
    parameters: &[Val],
    results: &mut [Val],
) -> wasmtime::Result<()> {
    let seen = caller.data_mut();
    seen.called.get_or_insert_with(|| name.to_owned());
    let known = without_version(name);
    let answered = match (known.as_str(), parameters, memory) {
        // No variables: an empty list.
        ("wasi:cli/environment#get-environment", [Val::I32(to)], Some(memory)) => {
            write(&mut caller, memory, *to, &[0; 8])
        }
        (
            "wasi:cli/stderr#get-stderr"
            | "wasi:cli/stdout#get-stdout"
            | "wasi:io/streams#[method]output-stream.subscribe"
            | "wasi:io/poll#[method]pollable.ready",
            ..,
        ) => {
            results.fill(Val::I32(1));
            true
        }
        ("wasi:io/poll#[method]pollable.block", ..) => true,
        // No terminal.
        ("wasi:cli/terminal-stderr#get-terminal-stderr", [Val::I32(to)], Some(memory)) => {
            write(&mut caller, memory, *to, &[0])
        }
        // There is room for a page: the number is aligned behind the word that says that all went well.
        ("wasi:io/streams#[method]output-stream.check-write", [_, Val::I32(to)], Some(memory)) => {
            write(&mut caller, memory, *to, &[0; 8])
                && write(
                    &mut caller,
                    memory,
                    to.wrapping_add(8),
                    &4096_u64.to_le_bytes(),
                )
        }
        (
            "wasi:io/streams#[method]output-stream.write"
            | "wasi:io/streams#[method]output-stream.blocking-write-and-flush",
            [_, Val::I32(from), Val::I32(length), Val::I32(to)],
            Some(memory),
        ) => {
            say(&mut caller, memory, *from, *length);
            write(&mut caller, memory, *to, &[0])
        }
        (
            "wasi:io/streams#[method]output-stream.flush" | "wasi:io/streams#[method]output-stream.blocking-flush",
            [_, Val::I32(to)],
            Some(memory),
        ) => write(&mut caller, memory, *to, &[0]),
        _ => false,
    };
    if answered {
        Ok(())
    } else {
        Err(wasmtime::Error::msg("an import was called"))
    }
}

/// `a:b/c@1.2.3#d` as `a:b/c#d`.
fn without_version(name: &str) -> String {
    match name.split_once('#') {
        Some((interface, function)) => {
            let interface = interface.split('@').next().unwrap_or_default();
            format!("{interface}#{function}")
        }
        None => name.to_owned(),
    }
}

fn write(caller: &mut Caller<'_, Seen>, memory: Memory, at: i32, bytes: &[u8]) -> bool {
    let at = usize::try_from(at.cast_unsigned()).unwrap_or(usize::MAX);
    memory.write(caller, at, bytes).is_ok()
}

fn say(caller: &mut Caller<'_, Seen>, memory: Memory, from: i32, length: i32) {
    let (data, seen) = memory.data_and_store_mut(caller);
    let from = usize::try_from(from.cast_unsigned()).unwrap_or(usize::MAX);
    let length = usize::try_from(length.cast_unsigned()).unwrap_or(usize::MAX);
    let room = MOST_SAID.saturating_sub(seen.said.len());
    let end = from.saturating_add(length.min(room));
    seen.said
        .extend_from_slice(data.get(from..end).unwrap_or_default());
}
