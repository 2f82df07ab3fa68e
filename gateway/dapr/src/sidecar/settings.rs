//! Settings of the sidecar's client.

use std::time::Duration;

use http::Uri;

use crate::app::AppId;

/// The time in which the sidecar must begin its answer unless the settings say otherwise. Longer than
/// its own time-outs, so that its error is seen rather than ours.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);

/// The way in which the packages and the sidecar belong together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Topology {
    /// All packages behind one sidecar.
    Shared,
    /// This package alone.
    Dedicated(AppId),
}

/// Settings of sidecar mode.
#[derive(Clone, Debug)]
pub struct SidecarSettings {
    /// Scheme and authority of the sidecar's HTTP API: `http://127.0.0.1:3500`.
    pub endpoint: Uri,
    /// Sent as `dapr-api-token`; Dapr's `DAPR_API_TOKEN`.
    pub api_token: Option<String>,
    /// Required of every callback but health probes; Dapr's `APP_API_TOKEN`.
    pub app_token: Option<String>,
    /// One sidecar for all packages or for one.
    pub topology: Topology,
    /// Send invocations of packages hosted here through the sidecar too, so that its policies
    /// apply to them.
    pub invoke_remotely: bool,
    /// The time that the sidecar may take to begin its answer.
    pub answer_timeout: Duration,
}

impl SidecarSettings {
    /// The sidecar at `endpoint`, shared by all packages, without tokens.
    pub fn new(endpoint: Uri) -> Self {
        Self {
            endpoint,
            api_token: None,
            app_token: None,
            topology: Topology::Shared,
            invoke_remotely: false,
            answer_timeout: ANSWER_TIMEOUT,
        }
    }
}
