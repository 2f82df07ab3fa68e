//! The process environment: read here, once, and nowhere else.

use std::path::PathBuf;

use http::HeaderValue;
use wasmgate_common::{Code, Diagnostic};

use super::{
    reader::Notes,
    secret::{Secret, Variables},
};

/// The variables that the gateway heeds: Dapr's own, one of its own, and those that most clients of HTTP know.
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
    /// `HTTP_PROXY`, or in lower case: what `http` requests of guests go through. Proxies come with the name of their
    /// variable.
    pub http_proxy: Option<(&'static str, Secret)>,
    /// `HTTPS_PROXY`: the same for `https` requests.
    pub https_proxy: Option<(&'static str, Secret)>,
    /// `ALL_PROXY`: the same for both where nothing else is said.
    pub all_proxy: Option<(&'static str, Secret)>,
    /// `NO_PROXY`: where no proxy is used.
    pub no_proxy: Option<String>,
    /// `SSL_CERT_FILE`: the authorities that are trusted, instead of the system's.
    pub ssl_cert_file: Option<PathBuf>,
    /// `SSL_CERT_DIR`: the same in folders.
    pub ssl_cert_dir: Option<std::ffi::OsString>,
    /// `DOCKER_CONFIG`, or `.docker` in `HOME`: the folder of Docker's file of credentials.
    pub docker_config: Option<PathBuf>,
    /// All variables, for `envRef` in Dapr's component files and, where listed, its environment secret stores.
    pub variables: Variables,
}

impl Environment {
    /// Reads the variables of this process. An empty one counts as not set.
    pub fn read() -> Self {
        let text = |name| std::env::var(name).ok().filter(|text| !text.is_empty());
        // In lower case first, as curl and others have it.
        let either = |names: [&'static str; 2]| {
            let mut found = names
                .into_iter()
                .filter_map(|name| Some((name, text(name)?)));
            found.next()
        };
        let proxy = |names| either(names).map(|(name, url)| (name, Secret::new(url)));
        let path = |name| std::env::var_os(name).filter(|path| !path.is_empty());
        Self {
            dapr_http_endpoint: text("DAPR_HTTP_ENDPOINT"),
            dapr_http_port: text("DAPR_HTTP_PORT"),
            dapr_api_token: text("DAPR_API_TOKEN").map(Secret::new),
            app_api_token: text("APP_API_TOKEN").map(Secret::new),
            admin_token: text("WASMGATE_ADMIN_TOKEN").map(Secret::new),
            http_proxy: proxy(["http_proxy", "HTTP_PROXY"]),
            https_proxy: proxy(["https_proxy", "HTTPS_PROXY"]),
            all_proxy: proxy(["all_proxy", "ALL_PROXY"]),
            no_proxy: either(["no_proxy", "NO_PROXY"]).map(|(_, list)| list),
            ssl_cert_file: path("SSL_CERT_FILE").map(PathBuf::from),
            ssl_cert_dir: path("SSL_CERT_DIR"),
            docker_config: path("DOCKER_CONFIG")
                .map(PathBuf::from)
                .or_else(|| Some(PathBuf::from(path("HOME")?).join(".docker"))),
            variables: Variables::new(
                std::env::vars_os()
                    .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
                    .collect(),
            ),
        }
    }
}

/// A token of the environment, which goes into a header.
pub(super) fn token(notes: &Notes<'_>, variable: &str, token: Option<&Secret>) -> Option<Secret> {
    let token = token?;
    if HeaderValue::from_str(token.reveal()).is_err() {
        let wrong = Diagnostic::new(
            Code::InvalidValue,
            "the token has a character that no header can carry",
            "write it without control characters; a token that was read from a file may end in a line break",
        );
        notes.add(None, &format!("environment variable {variable}"), wrong);
        return None;
    }
    Some(token.clone())
}
