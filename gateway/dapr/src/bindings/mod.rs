//! Bindings: output bindings do what apps ask of them, input bindings call apps.

mod input;

use std::{collections::HashMap, sync::Arc};

use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;

use crate::{
    app::{AppId, Apps},
    background::Background,
    components::{Components, Current, find},
    error::ApiError,
    internal::DeliveryPaths,
    providers::{
        bindings::{BindingKind, Failure, Operation, Output},
        https::HttpsClient,
    },
    time::Schedule,
};

/// The code of an output binding that failed.
pub(crate) const FAILED: &str = "ERR_INVOKE_OUTPUT_BINDING";

/// The block's surroundings.
pub(crate) struct Options {
    pub(crate) components: Current,
    pub(crate) apps: Arc<Apps>,
    /// For the paths of input bindings.
    pub(crate) paths: Arc<DeliveryPaths>,
    pub(crate) client: HttpsClient,
    pub(crate) background: Background,
}

/// The building block.
pub(crate) struct Bindings {
    components: Current,
    apps: Arc<Apps>,
    paths: Arc<DeliveryPaths>,
    client: HttpsClient,
    background: Background,
    /// Ends the input bindings of each app.
    running: Mutex<HashMap<AppId, CancellationToken>>,
}

impl Bindings {
    pub(crate) fn new(options: Options) -> Self {
        let Options {
            components,
            apps,
            paths,
            client,
            background,
        } = options;
        Self {
            components,
            apps,
            paths,
            client,
            background,
            running: Mutex::default(),
        }
    }

    /// Has a binding do what `app` asks of it.
    pub(crate) async fn invoke(
        &self,
        app: &AppId,
        name: &str,
        operation: Operation<'_>,
    ) -> Result<Result<Output, Failure>, ApiError> {
        let components = self.components.load();
        let binding = find(&components.bindings, name, app)
            .ok_or_else(|| ApiError::new(500, FAILED, format!("couldn't find output binding {name}")))?;
        Ok(binding
            .it
            .invoke(app.as_str(), &self.client, operation)
            .await)
    }

    /// Notes where `app` will be called, before it is.
    pub(crate) fn note_paths(&self, app: &AppId) {
        let inputs = inputs(&self.components.load(), app);
        self.paths
            .note_bindings(app, inputs.into_iter().map(|(_, path, _)| path));
    }
}

/// Names, paths and schedules of the input bindings that `app` may have a route for.
pub(crate) fn inputs(components: &Components, app: &AppId) -> Vec<(String, String, Schedule)> {
    let bindings = components.bindings.values();
    let inputs = bindings.filter_map(|binding| match &binding.it.kind {
        BindingKind::Cron(schedule) if binding.scopes.include(app) => Some((
            binding.name.clone(),
            binding.it.path.clone(),
            schedule.clone(),
        )),
        _ => None,
    });
    inputs.collect()
}
