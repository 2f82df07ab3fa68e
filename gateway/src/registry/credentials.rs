//! Credentials in Docker's format: a file with `auths`, credential helpers, or a credentials store.

use std::{
    collections::BTreeMap,
    io::{Read as _, Write as _},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use base64::{Engine as _, engine::GeneralPurpose, engine::general_purpose::STANDARD};
use serde::Deserialize;
use wasmgate_common::read_file;

use super::error::RegistryError;
use crate::config::{MAX_CREDENTIALS, Reference, RegistryConfig, Secret};

/// The key of Docker Hub in such files.
const DOCKER_HUB: &str = "index.docker.io";

/// The user name with which a helper returns a token.
const TOKEN: &str = "<token>";

/// The time-out of a helper, which may call a cloud.
const HELPER_PATIENCE: Duration = Duration::from_secs(30);

/// The maximum size of a helper's output.
const MAX_ANSWER: u64 = 64 << 10;

/// A credential.
#[derive(Clone, Debug)]
pub(super) enum Credential {
    /// A name and a password.
    Password {
        /// The name.
        user: String,
        /// The password.
        password: Secret,
    },
    /// An identity token, which is exchanged for a registry token.
    Identity(Secret),
    /// A registry token.
    Registry(Secret),
}

impl Credential {
    /// Its user, for messages.
    pub(super) fn user(&self) -> String {
        match self {
            Self::Password { user, .. } => format!("the user {user:?}"),
            Self::Identity(_) | Self::Registry(_) => "the owner of the token".to_owned(),
        }
    }
}

/// Docker's `config.json`, and the `.dockerconfigjson` of Kubernetes' pull secrets.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct File {
    #[serde(default)]
    auths: BTreeMap<String, Auth>,
    #[serde(default)]
    cred_helpers: BTreeMap<String, String>,
    #[serde(default)]
    creds_store: Option<String>,
}

#[derive(Deserialize, Default)]
struct Auth {
    auth: Option<String>,
    username: Option<String>,
    password: Option<String>,
    identitytoken: Option<String>,
    registrytoken: Option<String>,
}

/// A helper's output.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Answer {
    username: String,
    secret: String,
}

/// The credential for a repository, from the file configured for its registry, or from Docker's.
///
/// # Errors
/// When the file or its helper cannot be used.
pub(super) fn find(config: &RegistryConfig, reference: &Reference) -> Result<Option<Credential>, RegistryError> {
    let own = config.host(reference.registry());
    let own = own.and_then(|host| host.credentials.as_deref());
    let Some(path) = own.or(config.docker.as_deref()) else {
        return Ok(None);
    };
    let wrong = |reason: String| RegistryError::Credentials {
        file: path.to_owned(),
        reason,
    };
    let text = match read_file(path, MAX_CREDENTIALS) {
        Ok(text) => text,
        // Not logged in.
        Err(_) if own.is_none() => return Ok(None),
        Err(error) => return Err(wrong(error.to_string())),
    };
    // Only the position of the error: the text may be a secret.
    let file: File = serde_json::from_slice(&text)
        .map_err(|error| wrong(format!("line {}, column {}", error.line(), error.column())))?;
    file.credential(reference, path).map_err(wrong)
}

impl File {
    fn credential(&self, reference: &Reference, path: &Path) -> Result<Option<Credential>, String> {
        let host = if reference.registry() == "docker.io" {
            DOCKER_HUB
        } else {
            reference.registry()
        };
        if let Some((key, helper)) = best(&self.cred_helpers, host, reference.repository()) {
            return ask(helper, key, path);
        }
        if let Some((_, auth)) = best(&self.auths, host, reference.repository())
            && let Some(found) = auth.credential()?
        {
            return Ok(Some(found));
        }
        match &self.creds_store {
            Some(store) if host == DOCKER_HUB => ask(store, "https://index.docker.io/v1/", path),
            Some(store) => ask(store, host, path),
            None => Ok(None),
        }
    }
}

/// The entry for a repository: the longest matching prefix. Keys may have a scheme, and Docker's own have the API
/// version as path.
fn best<'a, T>(entries: &'a BTreeMap<String, T>, host: &str, repository: &str) -> Option<(&'a str, &'a T)> {
    let fitting = entries.iter().filter_map(|(key, value)| {
        let bare = key
            .strip_prefix("https://")
            .or_else(|| key.strip_prefix("http://"));
        let bare = bare.unwrap_or(key).trim_end_matches('/');
        let (of, path) = bare.split_once('/').unwrap_or((bare, ""));
        let path = if matches!(path, "v1" | "v2") {
            ""
        } else {
            path
        };
        let is_within = path.is_empty()
            || repository
                .strip_prefix(path)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        (of.eq_ignore_ascii_case(host) && is_within).then_some((path.len(), key.as_str(), value))
    });
    let longest = fitting.max_by_key(|(length, ..)| *length);
    longest.map(|(_, key, value)| (key, value))
}

impl Auth {
    fn credential(&self) -> Result<Option<Credential>, String> {
        let some = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
        if let Some(token) = some(&self.identitytoken) {
            return Ok(Some(Credential::Identity(Secret::new(token))));
        }
        if let Some(token) = some(&self.registrytoken) {
            return Ok(Some(Credential::Registry(Secret::new(token))));
        }
        if let Some(auth) = some(&self.auth) {
            let not_encoded = || "an `auth` is not base64 of user:password".to_owned();
            let padded = GeneralPurpose::new(
                &base64::alphabet::STANDARD,
                base64::engine::GeneralPurposeConfig::new()
                    .with_decode_padding_mode(base64::engine::DecodePaddingMode::Indifferent),
            );
            let decoded = padded.decode(auth.trim()).map_err(|_| not_encoded())?;
            let text = String::from_utf8(decoded).map_err(|_| not_encoded())?;
            let (user, password) = text.split_once(':').ok_or_else(not_encoded)?;
            // Docker Desktop appends zero bytes.
            let password = Secret::new(password.trim_end_matches('\0'));
            return Ok(Some(Credential::Password {
                user: user.to_owned(),
                password,
            }));
        }
        let named = some(&self.username).zip(some(&self.password));
        Ok(named.map(|(user, password)| Credential::Password {
            user,
            password: Secret::new(password),
        }))
    }
}

/// Runs `docker-credential-HELPER`; `None` if it has no credential.
fn ask(helper: &str, server: &str, file: &Path) -> Result<Option<Credential>, String> {
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    if helper.is_empty() || !helper.bytes().all(is_name) {
        return Err(format!("{helper:?} names no helper"));
    }
    let program = PathBuf::from(format!("docker-credential-{helper}"));
    let failed = |what: String| {
        format!(
            "{}, which {} names, {what}",
            program.display(),
            file.display()
        )
    };
    let mut child = Command::new(&program)
        .arg("get")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|error| failed(format!("does not run: {error}")))?;
    if let Some(mut input) = child.stdin.take() {
        // One that has exited already reports it by its exit code.
        let _ = input.write_all(server.as_bytes());
    }
    let output = child.stdout.take();
    let reader = std::thread::spawn(move || {
        let mut answer = Vec::new();
        if let Some(output) = output {
            let _ = output.take(MAX_ANSWER).read_to_end(&mut answer);
        }
        answer
    });
    let latest = Instant::now() + HELPER_PATIENCE;
    let ended = loop {
        match child.try_wait() {
            Ok(Some(ended)) => break ended,
            Ok(None) if Instant::now() < latest => std::thread::sleep(Duration::from_millis(10)),
            Ok(None) => {
                let _ = child.kill();
                let _ = child.wait();
                return Err(failed("does not end".to_owned()));
            }
            Err(error) => return Err(failed(error.to_string())),
        }
    };
    let answer = reader.join().unwrap_or_default();
    if !ended.success() {
        // Only the protocol's own message; other output may contain secrets.
        let text = String::from_utf8_lossy(&answer);
        let unknown = text.contains("credentials not found");
        return if unknown {
            Ok(None)
        } else {
            Err(failed(format!("failed ({ended})")))
        };
    }
    let answer: Answer =
        serde_json::from_slice(&answer).map_err(|_| failed("gives no `Username` and `Secret`".to_owned()))?;
    let secret = Secret::new(answer.secret);
    Ok(Some(if answer.username == TOKEN {
        Credential::Identity(secret)
    } else {
        Credential::Password {
            user: answer.username,
            password: secret,
        }
    }))
}

/// The value of `authorization` for a name and a password (RFC 7617).
pub(super) fn basic(user: &str, password: &Secret) -> String {
    format!(
        "Basic {}",
        STANDARD.encode(format!("{user}:{}", password.reveal()))
    )
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn found(file: &str, reference: &str) -> Option<String> {
        let file: File = serde_json::from_str(file).unwrap();
        let reference = Reference::parse(reference).unwrap();
        let found = file
            .credential(&reference, Path::new("config.json"))
            .unwrap()?;
        Some(match found {
            Credential::Password { user, password } => format!("{user}:{}", password.reveal()),
            Credential::Identity(token) => format!("identity {}", token.reveal()),
            Credential::Registry(token) => format!("registry {}", token.reveal()),
        })
    }

    #[test]
    fn the_entry_with_the_longest_path_to_the_repository_counts() {
        let file = r#"{"auths": {
            "registry.example.com": {"auth": "YTpi"},
            "registry.example.com/team": {"username": "team", "password": "c"},
            "https://registry.example.com/team/secret": {"identitytoken": "t"},
            "https://index.docker.io/v1/": {"auth": "aHViOnA6cQ=="},
            "other.example.com:5000": {"registrytoken": "r"}
        }}"#;
        for (reference, expected) in [
            ("oci://registry.example.com/name:1", Some("a:b")),
            ("oci://registry.example.com/teams:1", Some("a:b")),
            ("oci://registry.example.com/team/name:1", Some("team:c")),
            (
                "oci://registry.example.com/team/secret/x:1",
                Some("identity t"),
            ),
            ("oci://docker.io/name:1", Some("hub:p:q")),
            ("oci://other.example.com:5000/name:1", Some("registry r")),
            ("oci://other.example.com/name:1", None),
        ] {
            assert_eq!(found(file, reference).as_deref(), expected, "{reference}");
        }
    }

    #[test]
    fn secrets_are_in_no_message() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.json");
        for text in [
            r#"{"auths": {"registry.example.com": {"auth": "c2VjcmV0"}}}"#,
            r#"{"auths": {"registry.example.com": {"auth": secret}}}"#,
            r#"{"auths": {"registry.example.com": "secret"}}"#,
        ] {
            fs::write(&path, text).unwrap();
            let config = RegistryConfig {
                docker: Some(path.clone()),
                ..RegistryConfig::default()
            };
            let reference = Reference::parse("oci://registry.example.com/name:1").unwrap();
            let error = find(&config, &reference).unwrap_err().to_string();
            assert!(
                !error.contains("secret") && !error.contains("c2Vj"),
                "{error}"
            );
        }
        let password = Credential::Password {
            user: "u".to_owned(),
            password: Secret::new("secret"),
        };
        assert!(!format!("{password:?}").contains("secret"));
    }
}
