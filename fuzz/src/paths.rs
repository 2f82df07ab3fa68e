//! The target of a request.

use wasmgate::{routes::CleanPath, target::Target};

use crate::input;

/// A request: its target is refused, or has a host and a path in the one form that is compared.
pub fn target(data: &[u8]) {
    let Some(mut request) = std::str::from_utf8(data).ok().and_then(input::request) else {
        return;
    };
    let Ok(target) = Target::from_request(&mut request) else {
        return;
    };
    let host = target.host();
    assert!(
        host.is_some_and(|host| !host.is_empty()),
        "no host: {request:?}"
    );
    assert_eq!(
        request.headers().get_all("host").iter().count(),
        1,
        "{request:?}"
    );
    let path = target.path();
    // `OPTIONS *` alone has no slash.
    if path.as_str().starts_with('/') {
        assert_clean(path.as_str());
    }
}

/// A clean path is the same when it is cleaned again, and no segment of it leads elsewhere.
pub(crate) fn assert_clean(path: &str) {
    assert_eq!(CleanPath::new(path).as_str(), path, "cleaned twice");
    for segment in path.split('/') {
        let dots = segment.replace("%2e", ".").replace("%2E", ".");
        assert!(dots != "." && dots != "..", "{path:?} leads elsewhere");
    }
    assert!(path.bytes().all(|byte| byte.is_ascii_graphic()), "{path:?}");
}
