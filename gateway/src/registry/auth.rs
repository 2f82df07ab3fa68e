//! Authentication of a pull or push (RFC 7235).
//!
//! A registry that requires a token names its token service; credentials are sent there over TLS only, unless the
//! registry itself may use plain HTTP.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Uri, header};
use http_auth::{ChallengeRef, parser::ChallengeParser};
use parking_lot::Mutex;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;

use super::{
    credentials::{self, Credential},
    error::{ANYBODY, RegistryError},
    transport::{Ask, Transport, host_of, odd},
};
use crate::config::{Reference, RegistryConfig, Secret};

/// The default lifetime of a token.
const TOKEN_LIFE: u64 = 60;

/// The margin by which a token expires early, so that it does not expire in flight.
const TOKEN_MARGIN: Duration = Duration::from_secs(10);

/// The maximum size of a token response.
const MAX_TOKEN: u64 = 1 << 20;

/// The access to a repository.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(super) enum Scope {
    Pull,
    Push,
}

impl Scope {
    /// Its name in an error.
    pub(super) fn verb(self) -> &'static str {
        match self {
            Self::Pull => "pull",
            Self::Push => "push to",
        }
    }

    fn actions(self) -> &'static str {
        match self {
            Self::Pull => "pull",
            Self::Push => "pull,push",
        }
    }
}

/// The authorizations so far.
#[derive(Default)]
pub(super) struct Grants {
    given: Mutex<HashMap<Key, Given>>,
    /// Files are read and helpers called once per repository.
    credentials: Mutex<HashMap<(String, String), Option<Credential>>>,
}

type Key = (String, String, Scope);

struct Given {
    proof: HeaderValue,
    until: Option<Instant>,
}

/// A token response.
#[derive(Deserialize)]
struct Token {
    token: Option<String>,
    access_token: Option<String>,
    expires_in: Option<u64>,
}

impl Grants {
    /// A cached authorization that is still valid.
    pub(super) fn known(&self, reference: &Reference, scope: Scope) -> Option<HeaderValue> {
        let given = self.given.lock();
        let given = given.get(&key(reference, scope))?;
        let is_good = given.until.is_none_or(|until| until > Instant::now());
        is_good.then(|| given.proof.clone())
    }

    /// The user, for an error.
    pub(super) fn who(&self, config: &RegistryConfig, reference: &Reference) -> String {
        match self.credential(config, reference) {
            Ok(Some(credential)) => credential.user(),
            _ => ANYBODY.to_owned(),
        }
    }

    /// The authorization for these challenges; `None` without credentials.
    pub(super) async fn ask(
        &self,
        transport: &Transport<'_>,
        reference: &Reference,
        scope: Scope,
        headers: &HeaderMap,
    ) -> Result<Option<HeaderValue>, RegistryError> {
        let credential = self.credential(transport.config(), reference)?;
        if let Some(Credential::Registry(token)) = &credential {
            return Ok(Some(self.keep(reference, scope, bearer(token)?, None)));
        }
        let values = headers.get_all(header::WWW_AUTHENTICATE);
        let values: Vec<_> = values
            .iter()
            .filter_map(|value| value.to_str().ok())
            .collect();
        let challenges = values.iter().flat_map(|value| ChallengeParser::new(value));
        let challenges: Vec<ChallengeRef<'_>> = challenges.filter_map(Result::ok).collect();
        let of = |scheme: &str| {
            challenges
                .iter()
                .find(|one| one.scheme.eq_ignore_ascii_case(scheme))
        };
        if let Some(challenge) = of("Bearer") {
            let realm = parameter(challenge, "realm");
            let realm = realm.ok_or_else(|| odd(reference.host(), "its challenge names no realm".to_owned()))?;
            let service = parameter(challenge, "service");
            let (token, life) = token(
                transport,
                reference,
                scope,
                (&realm, service),
                credential.as_ref(),
            )
            .await?;
            return Ok(Some(self.keep(
                reference,
                scope,
                bearer(&token)?,
                Some(life),
            )));
        }
        match (of("Basic"), credential) {
            (Some(_), Some(Credential::Password { user, password })) => {
                let proof = secret_header(&credentials::basic(&user, &password))?;
                Ok(Some(self.keep(reference, scope, proof, None)))
            }
            _ => Ok(None),
        }
    }

    fn keep(&self, reference: &Reference, scope: Scope, proof: HeaderValue, life: Option<Duration>) -> HeaderValue {
        let given = Given {
            proof: proof.clone(),
            until: life.map(|life| Instant::now() + life.saturating_sub(TOKEN_MARGIN)),
        };
        self.given.lock().insert(key(reference, scope), given);
        proof
    }

    fn credential(&self, config: &RegistryConfig, reference: &Reference) -> Result<Option<Credential>, RegistryError> {
        let of = (
            reference.registry().to_owned(),
            reference.repository().to_owned(),
        );
        let mut known = self.credentials.lock();
        if let Some(known) = known.get(&of) {
            return Ok(known.clone());
        }
        let found = credentials::find(config, reference)?;
        known.insert(of, found.clone());
        Ok(found)
    }
}

/// Requests a token for a repository; returns it with its lifetime.
async fn token(
    transport: &Transport<'_>,
    reference: &Reference,
    scope: Scope,
    (realm, service): (&str, Option<String>),
    credential: Option<&Credential>,
) -> Result<(Secret, Duration), RegistryError> {
    let registry = transport.uri(reference, "")?;
    let broken = || {
        odd(
            reference.host(),
            "its challenge names no realm that could be asked".to_owned(),
        )
    };
    let wanted = format!("repository:{}:{}", reference.repository(), scope.actions());
    let mut fields = vec![("scope", wanted.as_str())];
    if let Some(service) = &service {
        fields.push(("service", service));
    }
    let mut proof = None;
    let ask = if let Some(Credential::Identity(identity)) = credential {
        fields.extend([
            ("grant_type", "refresh_token"),
            ("client_id", "wasmgate"),
            ("refresh_token", identity.reveal()),
        ]);
        let uri: Uri = realm.parse().map_err(|_| broken())?;
        let kind = "application/x-www-form-urlencoded";
        let mut ask = Ask::at(Method::POST, uri).with(header::CONTENT_TYPE, kind);
        ask.body = Bytes::from(form(&fields));
        ask
    } else {
        if let Some(Credential::Password { user, password }) = credential {
            proof = Some(secret_header(&credentials::basic(user, password))?);
        }
        let and = if realm.contains('?') { '&' } else { '?' };
        let uri = format!("{realm}{and}{}", form(&fields));
        Ask::at(Method::GET, uri.parse().map_err(|_| broken())?)
    };
    transport.check_scheme(reference.host(), &registry, &ask.uri)?;
    let host = host_of(&ask.uri);
    let answer = transport.follow(ask, proof.as_ref()).await?;
    if matches!(answer.status().as_u16(), 400 | 401 | 403) {
        return Err(RegistryError::Refused {
            host,
            status: answer.status().as_u16(),
            detail: ": it gives no token".to_owned(),
            who: credential.map_or_else(|| ANYBODY.to_owned(), Credential::user),
            what: scope.verb(),
            repository: reference.repository().to_owned(),
        });
    }
    let answer = transport.success(answer, &host, "token").await?;
    let body = transport.small(answer, &host, "a token", MAX_TOKEN).await?;
    let token: Token =
        serde_json::from_slice(&body).map_err(|_| odd(&host, "it answered with what is no token".to_owned()))?;
    let life = Duration::from_secs(token.expires_in.unwrap_or(TOKEN_LIFE));
    let token = token
        .token
        .or(token.access_token)
        .filter(|token| !token.is_empty());
    let token = token.ok_or_else(|| odd(&host, "it answered without a token".to_owned()))?;
    Ok((Secret::new(token), life))
}

fn key(reference: &Reference, scope: Scope) -> Key {
    let (registry, repository) = (reference.registry(), reference.repository());
    (registry.to_owned(), repository.to_owned(), scope)
}

fn parameter(challenge: &ChallengeRef<'_>, name: &str) -> Option<String> {
    let mut parameters = challenge.params.iter();
    let found = parameters.find(|(key, _)| key.eq_ignore_ascii_case(name));
    found.map(|(_, value)| value.to_unescaped())
}

fn form(fields: &[(&str, &str)]) -> String {
    let encoded = fields.iter().map(|(key, value)| {
        let value = utf8_percent_encode(value, NON_ALPHANUMERIC);
        format!("{key}={value}")
    });
    encoded.collect::<Vec<_>>().join("&")
}

fn bearer(token: &Secret) -> Result<HeaderValue, RegistryError> {
    secret_header(&format!("Bearer {}", token.reveal()))
}

/// A header value that is not printed by accident.
fn secret_header(text: &str) -> Result<HeaderValue, RegistryError> {
    let mut value = HeaderValue::from_str(text)
        .map_err(|_| RegistryError::Machine("a credential has characters that no header can have".to_owned()))?;
    value.set_sensitive(true);
    Ok(value)
}
