//! The process environment: read here and nowhere else, once.

use super::secret::{Secret, Variables};

/// The variables that the gateway heeds. All but one are Dapr's own.
#[derive(Clone, Debug, Default)]
pub struct Environment {
    /// `DAPR_HTTP_ENDPOINT`: the sidecar's address.
    pub dapr_http_endpoint: Option<String>,
    /// `DAPR_HTTP_PORT`: the sidecar's port on this machine, when the address is not set.
    pub dapr_http_port: Option<String>,
    /// `DAPR_API_TOKEN`: what the sidecar asks of its callers.
    pub dapr_api_token: Option<Secret>,
    /// `APP_API_TOKEN`: what the sidecar shows when it delivers.
    pub app_api_token: Option<Secret>,
    /// `WASMGATE_ADMIN_TOKEN`: what the admin listener asks of operators who do not call from this machine.
    pub admin_token: Option<Secret>,
    /// All variables, for `envRef` in Dapr's component files and its environment secret stores.
    pub variables: Variables,
}

impl Environment {
    /// Reads the variables of this process. An empty one counts as not set.
    #[must_use]
    pub fn read() -> Self {
        let text = |name| std::env::var(name).ok().filter(|text| !text.is_empty());
        Self {
            dapr_http_endpoint: text("DAPR_HTTP_ENDPOINT"),
            dapr_http_port: text("DAPR_HTTP_PORT"),
            dapr_api_token: text("DAPR_API_TOKEN").map(Secret::new),
            app_api_token: text("APP_API_TOKEN").map(Secret::new),
            admin_token: text("WASMGATE_ADMIN_TOKEN").map(Secret::new),
            variables: Variables::new(
                std::env::vars_os()
                    .filter_map(|(name, value)| {
                        Some((name.into_string().ok()?, value.into_string().ok()?))
                    })
                    .collect(),
            ),
        }
    }
}
