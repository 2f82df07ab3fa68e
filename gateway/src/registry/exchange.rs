//! Requests to a registry, with the authentication that it requires.

use std::collections::HashMap;

use http::{Response, StatusCode};
use hyper::body::Incoming;
use parking_lot::Mutex;

use super::{
    auth::{Grants, Scope},
    error::RegistryError,
    patience::Patience,
    transport::{Ask, Transport},
};
use crate::config::{Reference, RegistryConfig};

/// Requests to registries, with the connections and authorizations of one pull or push.
pub(super) struct Exchange<'a> {
    transport: Transport<'a>,
    grants: Grants,
    /// Registries that were unreachable a moment ago.
    down: Mutex<HashMap<String, RegistryError>>,
    image: tokio::sync::Mutex<()>,
}

impl<'a> Exchange<'a> {
    pub(super) fn new(config: &'a RegistryConfig) -> Self {
        Self::with(config, Patience::default())
    }

    /// The same with other time-outs.
    pub(super) fn with(config: &'a RegistryConfig, patience: Patience) -> Self {
        Self {
            transport: Transport::new(config, patience),
            grants: Grants::default(),
            down: Mutex::default(),
            image: tokio::sync::Mutex::default(),
        }
    }

    /// Why a registry was unreachable a moment ago: those with an alternative need not wait again.
    pub(super) fn down(&self, reference: &Reference) -> Option<RegistryError> {
        self.down.lock().get(reference.host()).cloned()
    }

    /// Records whether a registry is reachable.
    pub(super) fn note(&self, reference: &Reference, error: Option<&RegistryError>) {
        let host = reference.host();
        let mut down = self.down.lock();
        match error {
            Some(error) if error.is_passing() => drop(down.insert(host.to_owned(), error.clone())),
            _ => drop(down.remove(host)),
        }
    }

    /// The lock for processing an image.
    pub(super) async fn one_image(&self) -> tokio::sync::MutexGuard<'_, ()> {
        self.image.lock().await
    }

    pub(super) fn transport(&self) -> &Transport<'a> {
        &self.transport
    }

    /// Sends a request to a registry, with credentials if required. The response is any except a redirect, 401 and 403.
    ///
    /// # Errors
    /// When it is unreachable, denies access, or redirects to a disallowed destination.
    pub(super) async fn ask(
        &self,
        reference: &Reference,
        scope: Scope,
        ask: Ask,
    ) -> Result<Response<Incoming>, RegistryError> {
        let proof = self.grants.known(reference, scope);
        let answer = self.transport.follow(ask.clone(), proof.as_ref()).await?;
        if answer.status() != StatusCode::UNAUTHORIZED {
            return self.unless_refused(reference, scope, answer).await;
        }
        let challenges = answer.headers().clone();
        let proof = self
            .grants
            .ask(&self.transport, reference, scope, &challenges)
            .await?;
        let answer = match proof {
            Some(proof) => self.transport.follow(ask, Some(&proof)).await?,
            None => answer,
        };
        self.unless_refused(reference, scope, answer).await
    }

    async fn unless_refused(
        &self,
        reference: &Reference,
        scope: Scope,
        answer: Response<Incoming>,
    ) -> Result<Response<Incoming>, RegistryError> {
        let status = answer.status();
        if !matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) {
            return Ok(answer);
        }
        Err(RegistryError::Refused {
            host: reference.host().to_owned(),
            status: status.as_u16(),
            who: self.grants.who(self.transport.config(), reference),
            what: scope.verb(),
            repository: reference.repository().to_owned(),
            detail: self.transport.problem(answer).await,
        })
    }
}
