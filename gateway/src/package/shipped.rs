//! Compiled code in registries: made here for others, or by others for this gateway.

use std::{fs, fs::File, path::Path};

use sha2::{Digest as _, Sha256};

use super::{
    PackageError,
    cache::CompiledCode,
    image::{ImagePlan, Imaged},
    pieces,
    survey::Survey,
};
use crate::{
    engine::{EngineId, fingerprint, processor, target},
    registry::{Code, CodeFor, Pulled, Registry},
};

/// What code has to be compiled for so that it runs here.
fn made_for(id: EngineId, compiled: &[u8]) -> Result<CodeFor, String> {
    let fingerprint = fingerprint(id).map_err(|error| format!("{error:#}"))?;
    Ok(CodeFor {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        target: target(),
        engine: format!(
            "{} {} {fingerprint} {}",
            id.kind.name(),
            id.world.name(),
            pieces::KEY
        ),
        features: processor().into_iter().map(str::to_owned).collect(),
        compiled: Sha256::digest(compiled).into(),
    })
}

/// The pushed code of what was pulled, for these bytes and engine; `None` if there is none.
///
/// # Errors
/// With the reason why that cannot be determined.
pub(super) fn find(
    registry: &Registry,
    pulled: &Pulled,
    id: EngineId,
    compiled: &[u8],
) -> Result<Option<File>, String> {
    if pulled.code.is_empty() {
        return Ok(None);
    }
    let wanted = made_for(id, compiled)?;
    registry
        .code(pulled, &wanted)
        .map_err(|error| error.to_string())
}

/// The code of a component that was just compiled, to be pushed with it, without the images that follow it on disk:
/// they are created wherever it is registered.
///
/// # Errors
/// When it cannot be read any more.
pub(super) fn to_ship(
    id: EngineId,
    code: &CompiledCode,
    images: &ImagePlan,
    component: &[u8],
    path: &Path,
) -> Result<Code, PackageError> {
    let invalid = |error: String| PackageError::Invalid {
        path: path.to_owned(),
        error,
    };
    let imaged = match images.is_empty() {
        true => None,
        false => Survey::parse(component)
            .and_then(|survey| Imaged::of(component, &survey))
            .map_err(|error| invalid(error.to_string()))?,
    };
    let compiled = imaged.as_ref().map_or(component, Imaged::component);
    let made_for = made_for(id, compiled).map_err(invalid)?;
    let mut bytes = fs::read(code.path()).map_err(|error| PackageError::Cache {
        path: code.path().to_owned(),
        error,
    })?;
    let length = code.bytes().saturating_sub(images.bytes());
    bytes.truncate(usize::try_from(length).unwrap_or(usize::MAX));
    Ok(Code {
        made_for,
        bytes: bytes.into(),
    })
}
