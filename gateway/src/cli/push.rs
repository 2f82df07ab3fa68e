//! `wasmgate push` and `wasmgate pull`: a component to a registry, and from one.

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::Args;
use wasmgate::{
    bootstrap,
    config::{Reference, RegistryConfig, Sha256Digest, VerifyKey, parse_digest, show_digest},
    registry::{self, Beside, Pushed, RegistryError},
};
use wasmgate_common::Diagnostic;

use super::{Exit, print};

/// How the registry is called.
#[derive(Args)]
struct Way {
    /// Read credentials from this file, in the format of Docker's config.json, instead of Docker's own
    #[arg(long, value_name = "FILE")]
    credentials: Option<PathBuf>,
    /// Trust the root certificates in this file, in addition to the usual ones
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// Use plain HTTP; the default for registries on this machine
    #[arg(long)]
    insecure: bool,
}

/// The arguments of `push`.
#[derive(Args)]
pub(crate) struct Push {
    /// The component, or a WASI 0.1 program
    file: PathBuf,
    /// The destination: registry.example.com/team/name:tag
    reference: String,
    /// Add this to the manifest
    #[arg(long, value_name = "NAME=VALUE", value_parser = annotation)]
    annotation: Vec<(String, String)>,
    /// Also push compiled code, for packages with `compiled = true` on gateways of this version and machines like this
    #[arg(long)]
    compiled: bool,
    /// Also reference compiled code that was pushed before, as for other machines: the digest that was printed then
    #[arg(long, value_name = "DIGEST", value_parser = digest)]
    code: Vec<Sha256Digest>,
    #[command(flatten)]
    way: Way,
}

/// The arguments of `pull`.
#[derive(Args)]
pub(crate) struct Pull {
    /// The source: registry.example.com/team/name:tag, or @sha256:DIGEST
    reference: String,
    /// Write to this file, overwriting it [default: NAME.wasm, if that does not exist]
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Refuse the component unless it is signed with this cosign key
    #[arg(long, value_name = "FILE")]
    verify: Option<PathBuf>,
    #[command(flatten)]
    way: Way,
}

impl Way {
    fn config(self, reference: &Reference) -> Result<RegistryConfig, Exit> {
        let (credentials, ca) = (self.credentials.as_deref(), self.ca.as_deref());
        RegistryConfig::of_call(reference.registry(), credentials, ca, self.insecure).map_err(mistake)
    }
}

impl Push {
    pub(super) fn run(self) -> Result<ExitCode, Exit> {
        let reference = Reference::parse(&self.reference).map_err(mistake)?;
        if reference.tag().is_none() || reference.digest().is_some() || reference.file().is_some() {
            let wrong = "error: a component is pushed under a tag; its digest is told then\n  help: write name:tag";
            return Err(Exit::usage(wrong.to_owned()));
        }
        let config = self.way.config(&reference)?;
        let code = self.compiled.then(|| bootstrap::code_of(&self.file));
        let beside = Beside {
            annotations: self.annotation,
            code: code.transpose()?,
            known_code: self.code,
        };
        let target = beside.code.as_ref().map(|code| code.target().to_owned());
        let pushed = registry::push(&config, &reference, &self.file, beside).map_err(failed)?;
        print(&format!(
            "pushed {}\n{}{}",
            self.file.display(),
            told(&pushed),
            told_code(&pushed, target.as_deref())
        ))?;
        Ok(ExitCode::SUCCESS)
    }
}

impl Pull {
    pub(super) fn run(self) -> Result<ExitCode, Exit> {
        let reference = Reference::parse(&self.reference).map_err(mistake)?;
        let file = match self.output {
            Some(file) => file,
            None => {
                let path = reference.file().unwrap_or(reference.repository());
                let name = path.rsplit('/').next().unwrap_or_default();
                let name = name.strip_suffix(".wasm").unwrap_or(name);
                let file = PathBuf::from(format!("{name}.wasm"));
                if file.exists() {
                    let there = format!(
                        "error: {} is there already; name it with --output to replace it",
                        file.display()
                    );
                    return Err(Exit::cannot_create(there));
                }
                file
            }
        };
        let key = self.verify.as_deref().map(VerifyKey::read);
        let key = key.transpose().map_err(mistake)?;
        let config = self.way.config(&reference)?;
        let (pulled, bytes) = registry::pull(&config, &reference, key, Path::new(&file)).map_err(failed)?;
        print(&format!(
            "pulled {} ({bytes} bytes)\n{}",
            file.display(),
            told(&pulled)
        ))?;
        Ok(ExitCode::SUCCESS)
    }
}

/// What a configuration would say of it.
fn told(pushed: &Pushed) -> String {
    format!(
        "source = \"{}\"\nsha256 = \"{}\"\n",
        pushed.reference,
        show_digest(&pushed.component).trim_start_matches("sha256:")
    )
}

/// The same of its compiled code; what was just compiled is the last.
fn told_code(pushed: &Pushed, target: Option<&str>) -> String {
    let Some((last, before)) = pushed.code.split_last() else {
        return String::new();
    };
    let mut lines: Vec<_> = before
        .iter()
        .map(|digest| format!("# code {}\n", show_digest(digest)))
        .collect();
    let of = target
        .map(|target| format!(" for {target}"))
        .unwrap_or_default();
    lines.push(format!("# code {}{of}\n", show_digest(last)));
    format!("compiled = true\n{}", lines.concat())
}

fn mistake(wrong: Diagnostic) -> Exit {
    Exit::usage(format!("error: {}\n  help: {}", wrong.message, wrong.help))
}

fn failed(error: RegistryError) -> Exit {
    let exit = Exit::from(&error);
    let Diagnostic { message, help, .. } = error.into();
    Exit {
        message: format!("error: {message}\n  help: {help}"),
        ..exit
    }
}

fn annotation(text: &str) -> Result<(String, String), &'static str> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("write NAME=VALUE"),
    }
}

fn digest(text: &str) -> Result<Sha256Digest, &'static str> {
    parse_digest(text).ok_or("write sha256: and 64 hexadecimal digits")
}
