//! What is never reached from outside: the routes by which the runtime calls packages.

use http::HeaderMap;

/// The first segment of the runtime's own paths: `/dapr/subscribe`, `/dapr/config`, and events as the SDK routes them.
const DAPR: &str = "dapr";

/// The first segments of what the runtime calls in packages with grants: jobs and configuration updates.
const CALLBACKS: [&str; 2] = ["job", "configuration"];

/// Headers by which the runtime vouches for a call, and which nobody else may set.
const DAPR_HEADERS: &str = "dapr-";

/// Whether a path, as the guest would see it, is one of the runtime's; `granted` says whether the package has grants.
/// Empty segments in front do not count: a guest may not mind them.
pub fn is_internal(path: &str, granted: bool) -> bool {
    let first = path
        .trim_start_matches('/')
        .split('/')
        .next()
        .unwrap_or_default();
    let is = |internal: &&str| first.eq_ignore_ascii_case(internal);
    is(&DAPR) || (granted && CALLBACKS.iter().any(is))
}

/// Takes out what only the runtime may say of a call.
pub fn remove_dapr_headers(headers: &mut HeaderMap) {
    let foreign: Vec<_> = headers
        .keys()
        .filter(|name| name.as_str().starts_with(DAPR_HEADERS))
        .cloned()
        .collect();
    for name in foreign {
        headers.remove(name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_runtimes_paths_are_internal_however_they_are_written() {
        for path in [
            "/dapr",
            "/dapr/subscribe",
            "//dapr/config",
            "/DAPR/x",
            "/job/refund",
            "/configuration/a/b",
        ] {
            assert!(is_internal(path, true), "{path}");
        }
        for path in ["/", "/daprx", "/v1/dapr", "/jobs/1", "/hello"] {
            assert!(!is_internal(path, true), "{path}");
        }
        assert!(!is_internal("/job/1", false));
    }

    #[test]
    fn headers_of_the_runtime_are_removed_and_others_stay() {
        let mut headers = HeaderMap::new();
        for name in ["dapr-app-id", "dapr-api-token", "x-dapr", "accept"] {
            headers.insert(name, http::HeaderValue::from_static("1"));
        }
        remove_dapr_headers(&mut headers);
        assert_eq!(headers.len(), 2);
        assert!(headers.contains_key("x-dapr") && headers.contains_key("accept"));
    }
}
