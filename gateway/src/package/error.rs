//! Packages that cannot be served.

use std::{io, path::PathBuf, time::Duration};

use wasmgate_common::{Code, Diagnostic, NotPrivate};

use super::snapshot::Why;
use crate::engine::World;

/// A package that cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum PackageError {
    /// The source cannot be read.
    #[error("{} cannot be read: {error}", path.display())]
    Unreadable {
        /// The file named by `source`.
        path: PathBuf,
        /// The system's error.
        error: io::Error,
    },
    /// The source has another digest than configured.
    #[error("{} has the digest {found}, and {expected} is asked for", path.display())]
    OtherDigest {
        /// The file named by `source`.
        path: PathBuf,
        /// Its SHA-256 digest in hexadecimal.
        found: String,
        /// The digest that it should have.
        expected: String,
    },
    /// The source is not WebAssembly.
    #[error("{} is not WebAssembly", path.display())]
    NotWasm {
        /// The file named by `source`.
        path: PathBuf,
    },
    /// The source is a core module.
    #[error("{} is a core module, and a component is needed", path.display())]
    CoreModule {
        /// The file named by `source`.
        path: PathBuf,
    },
    /// The source is a broken component, or one that uses a feature this gateway does not have.
    #[error("{} is not a valid component: {error}", path.display())]
    Invalid {
        /// The file named by `source`.
        path: PathBuf,
        /// The compiler's error.
        error: String,
    },
    /// The source is a WASI 0.1 program without `kind = "cgi"`.
    #[error("{} is a core module for WASI 0.1, and a component of WASI 0.2 or 0.3 is needed", path.display())]
    Preview1 {
        /// The file named by `source`.
        path: PathBuf,
    },
    /// The source is a core module that is not a program, with `kind = "cgi"`.
    #[error("{} is a core module that cannot run as a program: {why}", path.display())]
    NoProgram {
        /// The file named by `source`.
        path: PathBuf,
        /// The reason.
        why: String,
    },
    /// The source is a component that is not a program, with `kind = "cgi"`.
    #[error("{} exports no `wasi:cli/run@0.2.x`, which `kind = \"cgi\"` runs: {instead}", path.display())]
    NoCommand {
        /// The file named by `source`.
        path: PathBuf,
        /// Its exports, or a note that it has none.
        instead: String,
    },
    /// The component is of an unsupported version of WASI.
    #[error("{} is a component of WASI {version}, and this gateway runs WASI 0.2 and 0.3: it names {name}", path.display())]
    OtherWasi {
        /// The file named by `source`.
        path: PathBuf,
        /// That version.
        version: String,
        /// The import or export that shows it.
        name: String,
    },
    /// The component is of a draft of WASI.
    #[error("{} is made for {version}, a draft of WASI: it names {name}", path.display())]
    Draft {
        /// The file named by `source`.
        path: PathBuf,
        /// That version.
        version: String,
        /// The import or export that shows it.
        name: String,
    },
    /// The component is half of one version of WASI and half of another.
    #[error("{} is a component of two worlds: {how}", path.display())]
    TwoWorlds {
        /// The file named by `source`.
        path: PathBuf,
        /// The two names that show it.
        how: String,
    },
    /// The component is middleware, and its package has no `next`.
    #[error("{} is a middleware: it exports and imports {name}", path.display())]
    Middleware {
        /// The file named by `source`.
        path: PathBuf,
        /// The handler's name.
        name: String,
    },
    /// The component is not middleware, and its package has `next`.
    #[error("{} imports no `wasi:http/handler@0.3.x`, by which it would pass requests on to `next`", path.display())]
    NoMiddleware {
        /// The file named by `source`.
        path: PathBuf,
    },
    /// The package has `reuse`, which its world does not support.
    #[error("{} is a component of {world}, and `reuse` is for those of wasi:http/service@0.3", path.display())]
    NotReusable {
        /// The file named by `source`.
        path: PathBuf,
        /// Its world.
        world: World,
    },
    /// The component is made for Spin's own interfaces.
    #[error("{} is made for Spin: it names {name}", path.display())]
    Spin {
        /// The file named by `source`.
        path: PathBuf,
        /// The import or export that shows it.
        name: String,
    },
    /// The component is a command.
    #[error("{} exports neither `wasi:http/incoming-handler@0.2.x` nor `wasi:http/handler@0.3.x`: it is a command (it exports {name})", path.display())]
    Command {
        /// The file named by `source`.
        path: PathBuf,
        /// The export that shows it.
        name: String,
    },
    /// The component has no HTTP handler.
    #[error("{} exports neither `wasi:http/incoming-handler@0.2.x` nor `wasi:http/handler@0.3.x`: {instead}", path.display())]
    NoHandler {
        /// The file named by `source`.
        path: PathBuf,
        /// Its exports, or a note that it has none.
        instead: String,
    },
    /// An instance needs more initial memory than allowed.
    #[error("{} needs {needed} bytes of memory at its start, and `limits.memory` allows {allowed}", path.display())]
    Memory {
        /// The file named by `source`.
        path: PathBuf,
        /// The memory it needs, in bytes.
        needed: u64,
        /// The memory it may have, in bytes.
        allowed: u64,
    },
    /// The component is valid, and exceeds a limit of the gateway.
    #[error("{} is beyond this gateway's limits for one component: {what}", path.display())]
    Beyond {
        /// The file named by `source`.
        path: PathBuf,
        /// The limit, with both numbers.
        what: String,
    },
    /// No snapshot can be taken of the component.
    #[error("no snapshot can be taken of {}: {what}", path.display())]
    Snapshot {
        /// The file named by `source`.
        path: PathBuf,
        /// The kind of reason.
        why: Why,
        /// The details.
        what: String,
    },
    /// Compiling the component took too long.
    #[error("{} takes longer than {} to compile (`[server] compile_timeout`)", path.display(), humantime::format_duration(*limit))]
    CompileTime {
        /// The file named by `source`.
        path: PathBuf,
        /// The time limit.
        limit: Duration,
    },
    /// Compiling the component took too much memory.
    #[error("{} takes more than {} MiB of memory to compile (`[server] compile_memory`)", path.display(), limit >> 20)]
    CompileMemory {
        /// The file named by `source`.
        path: PathBuf,
        /// The memory limit, in bytes.
        limit: u64,
    },
    /// Compiling the component took more memory than was left.
    #[error("{} takes more than the {} MiB of memory to compile that are left to the gateway", path.display(), limit >> 20)]
    CompileRoom {
        /// The file named by `source`.
        path: PathBuf,
        /// The memory that was left, in bytes.
        limit: u64,
    },
    /// The compiler crashed.
    #[error("{} breaks the compiler: {error}", path.display())]
    CompilerBroken {
        /// The file named by `source`.
        path: PathBuf,
        /// How the compiler ended, and what it said.
        error: String,
    },
    /// No compiler could be started.
    #[error("{} cannot be compiled now: {error}", path.display())]
    NoCompiler {
        /// The file named by `source`.
        path: PathBuf,
        /// The error, mostly the system's.
        error: String,
    },
    /// The component has imports that are not provided.
    #[error("{} imports what this gateway does not offer: {imports}", path.display())]
    MissingImports {
        /// The file named by `source`.
        path: PathBuf,
        /// The imports, separated by commas.
        imports: String,
    },
    /// The compiled code cannot be written.
    #[error("{} cannot hold compiled code: {error}", path.display())]
    Cache {
        /// The cache directory or the file in it.
        path: PathBuf,
        /// The system's error.
        error: io::Error,
    },
    /// Other users could read or change the compiled code.
    #[error(transparent)]
    NotPrivate(NotPrivate),
    /// The compiled code was removed or damaged after registration.
    #[error("compiled code {} is lost and is compiled again", path.display())]
    CodeLost {
        /// The file in the cache directory.
        path: PathBuf,
    },
    /// The source has changed since registration, so lost code cannot be compiled again.
    #[error("{} has changed since the start, and its compiled code was lost", path.display())]
    SourceChanged {
        /// The file named by `source`.
        path: PathBuf,
    },
    /// The component was refused at registration.
    #[error("its component is not fit to be served")]
    Unfit,
    /// The compiled code cannot be loaded now.
    #[error("compiled code {} cannot be loaded now: {error}", path.display())]
    Load {
        /// The file in the cache directory.
        path: PathBuf,
        /// Wasmtime's error.
        error: String,
    },
}

impl From<NotPrivate> for PackageError {
    fn from(error: NotPrivate) -> Self {
        match error {
            NotPrivate::Io { path, source } => Self::Cache {
                path,
                error: source,
            },
            shared => Self::NotPrivate(shared),
        }
    }
}

impl PackageError {
    fn code(&self) -> Code {
        match self {
            Self::Unreadable { error, .. } if error.kind() == io::ErrorKind::NotFound => Code::FileMissing,
            Self::Unreadable { .. } => Code::FileUnreadable,
            Self::OtherDigest { .. } => Code::OtherDigest,
            Self::NotWasm { .. } | Self::CoreModule { .. } | Self::Preview1 { .. } | Self::NoProgram { .. } => {
                Code::NotAComponent
            }
            Self::Invalid { .. } | Self::CompilerBroken { .. } => Code::InvalidComponent,
            Self::Snapshot { .. } => Code::NoSnapshot,
            Self::OtherWasi { .. }
            | Self::Draft { .. }
            | Self::TwoWorlds { .. }
            | Self::Middleware { .. }
            | Self::NoMiddleware { .. }
            | Self::NotReusable { .. }
            | Self::Spin { .. }
            | Self::Command { .. }
            | Self::NoCommand { .. }
            | Self::NoHandler { .. }
            | Self::MissingImports { .. } => Code::WrongWorld,
            Self::Memory { .. }
            | Self::Beyond { .. }
            | Self::CompileTime { .. }
            | Self::CompileMemory { .. }
            | Self::CompileRoom { .. } => Code::ComponentTooLarge,
            Self::NotPrivate(_) => Code::NotPrivate,
            Self::Cache { .. }
            | Self::CodeLost { .. }
            | Self::SourceChanged { .. }
            | Self::NoCompiler { .. }
            | Self::Unfit
            | Self::Load { .. } => Code::CacheUnusable,
        }
    }

    fn help(&self) -> &'static str {
        match self {
            Self::Unreadable { .. } => "build the package, or correct the path",
            Self::OtherDigest { .. } => {
                "put back the file that is meant, or write this digest in `sha256` if it is this one"
            }
            Self::NotWasm { .. } => "name a component: its first bytes are 00 61 73 6d 0d 00 01 00",
            Self::CoreModule { .. } => {
                "build it with `--target wasm32-wasip2`, or wrap it with `wasm-tools component new`"
            }
            Self::Invalid { .. } => "build it again, with a released toolchain",
            Self::Preview1 { .. } => {
                "if it is a program that answers as CGI has it, say so: kind = \"cgi\"; else build it with `--target wasm32-wasip2` and let it export the HTTP handler"
            }
            Self::OtherWasi { .. } => {
                "build it for the world `wasi:http/service@0.3` or `wasi:http/proxy@0.2`, for example with another version of its SDK"
            }
            Self::Draft { .. } => {
                "build it with a release of its toolchain or SDK that is made for `wasi:http/proxy@0.2` or `wasi:http/service@0.3`: a draft differs from what came of it"
            }
            Self::Middleware { .. } => {
                "name the package whose requests it is to see, such as next = \"shop\"; or compose it with that component (`wac plug`), and serve what comes of it"
            }
            Self::NoMiddleware { .. } => {
                "remove `next`: a component of `wasi:http/middleware@0.3` passes requests on, and no other"
            }
            Self::NotReusable { .. } => {
                "remove `reuse`: an instance of WASI 0.2 has ended when its handler returns; or build the component for WASI 0.3"
            }
            Self::TwoWorlds { .. } => {
                "build it for one of them: `wasi:http/proxy@0.2` exports `wasi:http/incoming-handler` and imports WASI 0.2 alone; `wasi:http/service@0.3` exports `wasi:http/handler`, and may import 0.2 beside 0.3"
            }
            Self::Spin { .. } => {
                "use `wasi:http` for requests, and Dapr's building blocks for what Spin's interfaces do"
            }
            Self::CompileTime { .. } => {
                "make it smaller, with shorter functions, or raise `compile_timeout` if the component is trusted"
            }
            Self::CompileMemory { .. } => {
                "make it smaller, with shorter functions, or raise `compile_memory` if the component is trusted"
            }
            Self::CompileRoom { .. } => {
                "give the gateway's container more memory (or raise `[server] memory`), or compile where there is more, by `wasmgate compile`, and bring the cache"
            }
            Self::CompilerBroken { .. } => "build it again, with a released toolchain",
            Self::NoCompiler { .. } => {
                "the gateway starts itself as its compiler, by `/proc/self/exe`: it must be allowed to start processes, and have memory and room in its cache folder"
            }
            Self::Memory { .. } => "raise `memory` in the package's `limits`, or in `[limits]`",
            Self::Snapshot { why, .. } => why.help(),
            Self::Beyond { .. } => {
                "make it of fewer or smaller parts: these limits protect the other packages, and no key changes them"
            }
            Self::Command { .. } => {
                "if it is a program that answers as CGI has it, say so: kind = \"cgi\"; else export the handler, for example with `wasmgate_sdk::serve!`, from a library with `crate-type = [\"cdylib\"]`"
            }
            Self::NoProgram { .. } => {
                "build a program with a `main` for WASI 0.1, such as with `--target wasm32-wasip1`, or a component of `wasi:cli/command`"
            }
            Self::NoCommand { .. } => {
                "remove `kind` if it has an HTTP handler; else build a program with a `main`, such as with `--target wasm32-wasip2`"
            }
            Self::NoHandler { .. } => {
                "export the handler, for example with `wasmgate_sdk::serve!`, from a library with `crate-type = [\"cdylib\"]`"
            }
            Self::MissingImports { .. } => {
                "remove the import, or compose the component with one that provides it (`wac plug`)"
            }
            Self::Cache { error, .. } if error.kind() == io::ErrorKind::StorageFull => {
                "make room on its disk, or name another directory in `[server] cache`"
            }
            Self::Cache { .. } => "make the directory writable, or name another one in `[server] cache`",
            Self::NotPrivate(_) => "name a folder of the gateway's own in `[server] cache`",
            Self::Unfit => "correct what the log says of it at the start",
            Self::CodeLost { .. } => "it is compiled in the background; try again",
            Self::SourceChanged { .. } => "restart the gateway to serve what is there now",
            Self::Load { .. } => {
                "it is tried again with the next request; raise the limit on descriptors, mappings or memory if that is named"
            }
        }
    }
}

impl From<PackageError> for Diagnostic {
    fn from(error: PackageError) -> Self {
        Self::new(error.code(), error.to_string(), error.help())
    }
}
