//! The depth of an invocation: how many packages have called each other for it. Endless recursion is stopped before it
//! fills the machine with waiting instances.

use http::{HeaderMap, HeaderName, HeaderValue, request::Parts};

use super::FAILED;
use crate::error::ApiError;

/// Says how deep a request is in a chain of invocations. Guests and clients cannot set it: what begins with `wasmgate-`
/// is taken out of their requests.
pub const DEPTH: HeaderName = HeaderName::from_static("wasmgate-depth");

/// The most packages in a chain: an honest one has a handful, and each of them waits with an instance.
const MOST: u32 = 16;

/// The depth of a request: 0 for one that comes from outside. It goes with a call as an extension.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct InvocationDepth(u32);

impl InvocationDepth {
    /// Takes the depth out of a request's headers, in which only this gateway has written.
    pub fn take(headers: &mut HeaderMap) -> Self {
        let depth = headers.remove(&DEPTH);
        let depth = depth.and_then(|depth| depth.to_str().ok()?.parse().ok());
        Self(depth.unwrap_or_default())
    }
}

/// The header that says how deep the invocation by a call is.
///
/// # Errors
/// With 508 when it is too deep (RFC 5842, 7.2: an infinite loop).
pub(crate) fn of_invocation(parts: &Parts) -> Result<HeaderValue, ApiError> {
    let caller = parts.extensions.get::<InvocationDepth>();
    let depth = caller.copied().unwrap_or_default().0.saturating_add(1);
    if depth > MOST {
        let message =
            format!("the invocation is the {depth}th in a chain of packages, and {MOST} are the most: is it a loop?");
        return Err(ApiError::new(508, FAILED, message));
    }
    Ok(depth.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chain_grows_by_one_and_ends() {
        let mut headers = HeaderMap::new();
        for depth in 1..=MOST {
            let mut request = http::Request::new(());
            request
                .extensions_mut()
                .insert(InvocationDepth::take(&mut headers));
            let (parts, ()) = request.into_parts();
            let header = of_invocation(&parts).unwrap();
            assert_eq!(header, depth.to_string());
            headers.insert(DEPTH, header);
        }
        let mut request = http::Request::new(());
        request
            .extensions_mut()
            .insert(InvocationDepth::take(&mut headers));
        assert!(of_invocation(&request.into_parts().0).is_err());
        assert!(headers.is_empty());
    }
}
