//! References to components in registries: `oci://registry/name:tag` and `oci://registry/name@sha256:…`, with
//! `#app/hello.wasm` for a file in an image.

use std::{fmt, net::IpAddr};

use http::uri::Authority;
use wasmgate_common::{Code, Diagnostic};

/// A SHA-256 digest.
pub type Sha256Digest = [u8; 32];

/// The scheme of a source in a registry.
pub(super) const SCHEME: &str = "oci://";

/// The longest name of a repository, with its registry, that registries take (OCI distribution, "Pulling manifests").
const MAX_NAME: usize = 255;

/// The longest path of a file in an image: Linux has no longer one.
const MAX_PATH: usize = 4095;

/// The longest tag (the same).
const MAX_TAG: usize = 128;

/// Docker Hub as people write it, and the host that serves it.
const DOCKER_HUB: (&str, &str) = ("docker.io", "registry-1.docker.io");

/// Docker Hub as it was written once, and is in files of credentials still.
const OLD_DOCKER_HUB: &str = "index.docker.io";

/// A component in a registry, or a file of an image there: by a tag, which may be moved, or by the digest of its
/// manifest, which may not. Shown as it is written in `source`.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Reference {
    registry: String,
    repository: String,
    tag: Option<String>,
    digest: Option<Sha256Digest>,
    file: Option<String>,
}

impl Reference {
    /// Reads a reference, with or without `oci://` before it.
    ///
    /// # Errors
    /// When it names no registry, no repository, or neither a tag nor a digest.
    pub fn parse(text: &str) -> Result<Self, Diagnostic> {
        let bare = text.strip_prefix(SCHEME).unwrap_or(text);
        let (bare, file) = match bare.split_once('#') {
            None => (bare, None),
            Some((bare, file)) if is_file(file) => (bare, Some(file.to_owned())),
            Some(_) => {
                return Err(wrong(
                    text,
                    "what is behind # is no path of a file in an image, such as hello.wasm or app/hello.wasm",
                ));
            }
        };
        let (registry, rest) = bare
            .split_once('/')
            .ok_or_else(|| wrong(text, "it names no repository in a registry"))?;
        let is_host = registry == "localhost" || registry.contains(['.', ':']) || text.starts_with(SCHEME);
        if !is_host {
            return Err(wrong(text, "it begins with no registry"));
        }
        let registry = host(registry).ok_or_else(|| wrong(text, "its registry is no host with or without a port"))?;
        let registry = match registry.as_str() {
            OLD_DOCKER_HUB => DOCKER_HUB.0.to_owned(),
            _ => registry,
        };
        let (rest, digest) = match rest.split_once('@') {
            None => (rest, None),
            Some((rest, digest)) => {
                let digest = parse_digest(digest);
                let wrong = || wrong(text, "its digest is not sha256: with 64 hexadecimal digits");
                (rest, Some(digest.ok_or_else(wrong)?))
            }
        };
        let (repository, tag) = match rest.split_once(':') {
            None => (rest, None),
            Some((repository, tag)) if is_tag(tag) => (repository, Some(tag.to_owned())),
            Some(_) => {
                return Err(wrong(
                    text,
                    "its tag has other than letters, digits, \"_\", \".\" and \"-\", or more than 128 of them",
                ));
            }
        };
        if tag.is_none() && digest.is_none() {
            return Err(wrong(text, "it has neither a tag nor a digest"));
        }
        if !repository.split('/').all(is_part_of_name) || registry.len() + repository.len() >= MAX_NAME {
            return Err(wrong(
                text,
                "its repository is not lower-case letters, digits and single \".\", \"_\" or \"-\" between them",
            ));
        }
        let repository = if registry == DOCKER_HUB.0 && !repository.contains('/') {
            format!("library/{repository}")
        } else {
            repository.to_owned()
        };
        Ok(Self {
            registry,
            repository,
            tag,
            digest,
            file,
        })
    }

    /// The registry as it is written: a host, with a port if it has one.
    pub fn registry(&self) -> &str {
        &self.registry
    }

    /// The host and port that serve it.
    pub(crate) fn host(&self) -> &str {
        if self.registry == DOCKER_HUB.0 {
            DOCKER_HUB.1
        } else {
            &self.registry
        }
    }

    /// The name of the repository in its registry.
    pub fn repository(&self) -> &str {
        &self.repository
    }

    /// The tag, if one is written.
    pub fn tag(&self) -> Option<&str> {
        self.tag.as_deref()
    }

    /// The digest of the manifest, if one is written; the tag means nothing then.
    pub fn digest(&self) -> Option<Sha256Digest> {
        self.digest
    }

    /// The path of the component in an ordinary image, behind `#`; `None` for an artifact that is a component.
    pub fn file(&self) -> Option<&str> {
        self.file.as_deref()
    }

    /// Returns whether another reference is in the same repository.
    pub(crate) fn is_beside(&self, other: &Self) -> bool {
        (&self.registry, &self.repository) == (&other.registry, &other.repository)
    }

    /// Another tag of the same repository, of no image's file.
    pub(crate) fn tagged(&self, tag: &str) -> Self {
        Self {
            tag: Some(tag.to_owned()),
            digest: None,
            file: None,
            ..self.clone()
        }
    }

    /// The same with this digest of its manifest.
    pub(crate) fn pinned(&self, digest: Sha256Digest) -> Self {
        Self {
            digest: Some(digest),
            ..self.clone()
        }
    }

    /// Returns whether it is on this machine, where plain HTTP leaves it to nobody.
    pub fn is_local(&self) -> bool {
        is_loopback(&self.registry)
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{SCHEME}{}/{}", self.registry, self.repository)?;
        if let Some(tag) = &self.tag {
            write!(f, ":{tag}")?;
        }
        if let Some(digest) = self.digest {
            write!(f, "@{}", show_digest(&digest))?;
        }
        match &self.file {
            Some(file) => write!(f, "#{file}"),
            None => Ok(()),
        }
    }
}

/// Returns whether a host, with or without a port, is this machine.
pub(crate) fn is_loopback(host: &str) -> bool {
    let Ok(authority) = host.parse::<Authority>() else {
        return false;
    };
    let bare = authority.host().trim_matches(['[', ']']);
    bare == "localhost" || bare.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

/// A digest as registries write it.
pub fn show_digest(digest: &Sha256Digest) -> String {
    format!("sha256:{}", hex::encode(digest))
}

/// Reads a digest as registries write it, in lower case.
pub fn parse_digest(text: &str) -> Option<Sha256Digest> {
    let digits = text.strip_prefix("sha256:")?;
    let mut digest = Sha256Digest::default();
    let is_lower = !digits.bytes().any(|byte| byte.is_ascii_uppercase());
    (is_lower && hex::decode_to_slice(digits, &mut digest).is_ok()).then_some(digest)
}

/// A host that can be called, in lower case.
pub(super) fn host(text: &str) -> Option<String> {
    let authority: Authority = text.parse().ok()?;
    let port = text.strip_prefix(authority.host())?;
    let port_fits = match port.strip_prefix(':') {
        Some(port) => port.parse::<u16>().is_ok_and(|port| port > 0),
        None => port.is_empty(),
    };
    (!authority.host().is_empty() && port_fits).then(|| text.to_ascii_lowercase())
}

/// Returns whether a text is a path within an image, as it is compared: no part of it leads elsewhere.
fn is_file(path: &str) -> bool {
    let is_part = |part: &str| !matches!(part, "" | "." | "..") && !part.contains(char::is_control);
    path.len() <= MAX_PATH && path.split('/').all(is_part)
}

fn is_tag(tag: &str) -> bool {
    let is_inner = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-');
    !tag.is_empty() && tag.len() <= MAX_TAG && !tag.starts_with(['.', '-']) && tag.bytes().all(is_inner)
}

/// `[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*`, by which no part is `..` or empty.
fn is_part_of_name(part: &str) -> bool {
    let is_word = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let starts_and_ends = part.bytes().next().is_some_and(is_word) && part.bytes().next_back().is_some_and(is_word);
    let separators = part.split(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit());
    let mut separators = separators.filter(|between| !between.is_empty());
    starts_and_ends
        && separators.all(|between| matches!(between, "." | "_" | "__") || between.bytes().all(|byte| byte == b'-'))
}

fn wrong(text: &str, what: &str) -> Diagnostic {
    Diagnostic::new(
        Code::InvalidValue,
        format!("{text:?} is no component in a registry: {what}"),
        "write \"oci://registry.example.com/team/name:tag\", or \"@sha256:\" and the manifest's digest instead of the tag",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIGEST: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    #[test]
    fn references_are_read_and_shown_as_they_are_written() {
        for text in [
            "oci://registry.example.com/team/name:1.2".to_owned(),
            "oci://localhost:5000/name:latest".to_owned(),
            "oci://[::1]:5000/name:v1".to_owned(),
            "oci://registry/a/b-c/d__e.f:_x".to_owned(),
            format!("oci://registry.example.com/name@{DIGEST}"),
            format!("oci://registry.example.com/name:1@{DIGEST}"),
            "oci://registry.example.com/name:1#hello.wasm".to_owned(),
            format!("oci://registry.example.com/name:1@{DIGEST}#app/a b#c.wasm"),
        ] {
            assert_eq!(Reference::parse(&text).unwrap().to_string(), text);
        }
        let old = Reference::parse("oci://index.docker.io/nginx:1").unwrap();
        assert_eq!(old.to_string(), "oci://docker.io/library/nginx:1");
        let short = Reference::parse("docker.io/nginx:1").unwrap();
        assert_eq!(
            (short.host(), short.repository()),
            ("registry-1.docker.io", "library/nginx")
        );
        let upper = Reference::parse("oci://Registry.Example.COM/name:Tag").unwrap();
        assert_eq!(upper.to_string(), "oci://registry.example.com/name:Tag");
    }

    #[test]
    fn what_no_registry_could_hold_is_refused() {
        for text in [
            "",
            "oci://",
            "oci://registry.example.com",
            "oci://registry.example.com/",
            "oci://registry.example.com/name",
            "oci://registry.example.com/name:",
            "oci://registry.example.com/Name:1",
            "oci://registry.example.com/../name:1",
            "oci://registry.example.com/a//b:1",
            "oci://registry.example.com/a/:1",
            "oci://registry.example.com/na..me:1",
            "oci://registry.example.com/name:.hidden",
            "oci://registry.example.com/name:a/b",
            "oci://registry.example.com/name?x=1:1",
            "oci://user:password@registry.example.com/name:1",
            "oci://registry.example.com:99999/name:1",
            "oci://registry.example.com:/name:1",
            "oci://registry.example.com/name@sha256:12",
            "oci://registry.example.com/name@sha512:12",
            "oci:///name:1",
            "oci://registry.example.com/name:1#",
            "oci://registry.example.com/name:1#/hello.wasm",
            "oci://registry.example.com/name:1#app/",
            "oci://registry.example.com/name:1#app/../hello.wasm",
            "oci://registry.example.com/name:1#./hello.wasm",
            "oci://registry.example.com/name:1#hello\n.wasm",
            "oci://registry.example.com/name#hello.wasm",
            "name:1",
            "team/name:1",
        ] {
            assert!(Reference::parse(text).is_err(), "{text}");
        }
        let long = format!("oci://registry.example.com/{}:1", "a".repeat(300));
        assert!(Reference::parse(&long).is_err());
        let long = format!("oci://registry.example.com/name:{}", "a".repeat(129));
        assert!(Reference::parse(&long).is_err());
    }

    #[test]
    fn this_machine_is_known_by_its_names_and_addresses() {
        for local in [
            "localhost",
            "localhost:5000",
            "127.0.0.1:1",
            "127.8.9.1",
            "[::1]:5000",
        ] {
            assert!(is_loopback(local), "{local}");
        }
        for other in [
            "localhost.example.com",
            "10.0.0.1:5000",
            "registry",
            "[::2]",
            "127.0.0.1.example.com",
        ] {
            assert!(!is_loopback(other), "{other}");
        }
    }
}
