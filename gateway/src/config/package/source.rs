//! Where a component comes from, and what vouches for it: `source`, `sha256`, `verify` and `compiled`.

use std::{
    fs,
    io::ErrorKind,
    path::{Path, PathBuf},
};

use wasmgate_common::{Code, Diagnostic};

use crate::config::{
    reader::Section,
    reference::{self, Reference, Sha256Digest},
    registry::{RegistryConfig, VerifyKey},
};

/// The source of a component.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Source {
    /// A file, resolved against the folder of the configuration. It existed and was not empty, unless a build command
    /// makes it.
    File(PathBuf),
    /// A component in a registry, which is pulled before it is registered.
    Registry(Reference),
}

impl Source {
    /// The file; `None` for what is in a registry.
    pub fn file(&self) -> Option<&Path> {
        match self {
            Self::File(file) => Some(file),
            Self::Registry(_) => None,
        }
    }

    /// Returns whether there is something to be served, or it is elsewhere and is pulled.
    pub fn is_there(&self) -> bool {
        let is_full = |file: &Path| fs::metadata(file).is_ok_and(|found| found.len() > 0);
        self.file().is_none_or(is_full)
    }
}

/// An example of a digest: that of an empty file.
pub(super) const EXAMPLE_DIGEST: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

/// Reads the text of `sha256`.
pub(super) fn digest(text: &str) -> Result<Sha256Digest, Diagnostic> {
    let mut digest = Sha256Digest::default();
    match hex::decode_to_slice(text, &mut digest) {
        Ok(()) => Ok(digest),
        Err(error) => Err(Diagnostic::new(
            Code::InvalidValue,
            format!("{text:?} is no SHA-256 digest: {error}"),
            "write the 64 hexadecimal digits that `sha256sum` prints of the file",
        )),
    }
}

/// Reads `source`. Unless `strict`, a missing or unreadable file is no mistake of the configuration, and only the
/// package is not served.
pub(super) fn source(package: &Section<'_>, folder: &Path, strict: bool) -> Option<Source> {
    if !package.requires(
        "source",
        "the package has no source",
        "\"path/to/component.wasm\"",
    ) {
        return None;
    }
    package.parsed(
        "source",
        "target/wasm32-wasip2/release/hello.wasm",
        |text| {
            if text.starts_with(reference::SCHEME) {
                return Reference::parse(text).map(Source::Registry);
            }
            if let Some((scheme, _)) = text.split_once("://") {
                return Err(Diagnostic::new(
                    Code::Unsupported,
                    format!("sources at {scheme}:// are not supported"),
                    "write the path of the component's file, or where a registry has it: \"oci://registry/name:tag\"",
                ));
            }
            let path = folder.join(text);
            check_file(text, &path, package.has("build"), strict)?;
            Ok(Source::File(path))
        },
    )
}

/// Reads `verify`, which is for components in a registry.
pub(super) fn verify(package: &Section<'_>, source: Option<&Source>, folder: &Path) -> Option<VerifyKey> {
    let key = package.parsed("verify", "cosign.pub", |text| {
        VerifyKey::read(&folder.join(text))
    });
    if key.is_some() && matches!(source, Some(Source::File(_))) {
        package.refuse_key(
            "verify",
            Diagnostic::new(
                Code::Conflict,
                "a file has no signature: cosign signs what is in a registry",
                "remove `verify`, or write the digest of the file in `sha256`",
            ),
        );
    }
    key
}

/// Reads `compiled`. Compiled code is native code, so a signature or a digest in the configuration has to cover it.
pub(super) fn compiled(
    package: &Section<'_>,
    source: Option<&Source>,
    verify: Option<&VerifyKey>,
    registry: &RegistryConfig,
) -> bool {
    let compiled = package.flag("compiled").unwrap_or_default();
    let is_answered_for = |reference: &Reference| {
        let of_host = || registry.host(reference.registry())?.verify.as_ref();
        verify.or_else(of_host).is_some() || reference.digest().is_some()
    };
    let refusal = match source {
        Some(Source::File(_)) if compiled => Some((
            "a file has no compiled code beside it: it is compiled here",
            "remove `compiled`, or name the component in its registry",
        )),
        Some(Source::Registry(reference)) if compiled && !is_answered_for(reference) => Some((
            "compiled code is native code, and anybody who may push to the registry could have put it there",
            "name the key of who compiles in `verify`, or the manifest in `source`, by @sha256: and its digest",
        )),
        _ => None,
    };
    if let Some((wrong, help)) = refusal {
        package.refuse_key("compiled", Diagnostic::new(Code::Conflict, wrong, help));
    }
    compiled
}

fn check_file(text: &str, path: &Path, is_built: bool, strict: bool) -> Result<(), Diagnostic> {
    let shown = path.display();
    if text.is_empty() {
        return Err(Diagnostic::new(
            Code::InvalidValue,
            "the source is empty",
            "write the path of the component's file",
        ));
    }
    if !strict {
        return Ok(());
    }
    match fs::metadata(path) {
        Ok(metadata) if metadata.is_dir() => Err(Diagnostic::new(
            Code::FileUnreadable,
            format!("{shown} is a directory"),
            "write the path of the component's file in it",
        )),
        Err(error) if is_built && error.kind() == ErrorKind::NotFound => Ok(()),
        Ok(metadata) if metadata.is_file() && metadata.len() == 0 && !is_built => Err(Diagnostic::new(
            Code::NotAComponent,
            format!("{shown} is empty"),
            "build the component again",
        )),
        Ok(metadata) if !metadata.is_file() => Err(Diagnostic::new(
            Code::FileUnreadable,
            format!("{shown} is a pipe, a socket or a device, and no file"),
            "write the path of the component's file",
        )),
        Ok(_) => Ok(()),
        Err(error) if error.kind() == ErrorKind::NotFound => Err(Diagnostic::new(
            Code::FileMissing,
            format!("there is no file {shown}"),
            if text.starts_with('~') {
                "write the path in full, or ${HOME} in place of \"~\", which a shell alone replaces"
            } else {
                "build the component, or correct the path (it is relative to the configuration file)"
            },
        )),
        Err(error) => Err(Diagnostic::new(
            Code::FileUnreadable,
            format!("{shown} cannot be read: {error}"),
            "make the file readable for the user that runs the gateway",
        )),
    }
}
