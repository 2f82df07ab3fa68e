//! Conditions of requests (RFC 9110, section 13).

use crate::Error;

/// A client's `if-match`, from [`Request::if_match`](crate::Request::if_match): the versions of which one has to be the
/// current one.
///
/// ```
/// use wasmgate_sdk::{Error, Request, Router, testing};
///
/// async fn change(request: Request) -> Result<&'static str, Error> {
///     let current = "\"7\"";
///     request.if_match()?.check(Some(current))?; // 428 without it, 412 when it names another version
///     Ok("changed")
/// }
///
/// let app = Router::new().put("/", change);
/// let put = |etag: &str| testing::call(&app, Request::put("/").with_header("if-match", etag)).status();
/// assert_eq!((put("\"6\", \"7\"").as_u16(), put("\"6\"").as_u16()), (200, 412));
/// assert_eq!((put("*").as_u16(), put("W/\"7\"").as_u16()), (200, 412));
/// assert_eq!(testing::call(&app, Request::put("/")).status(), 428);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IfMatch(pub(crate) String);

impl IfMatch {
    /// Fails with 412 unless the current entity tag, in its quotes, is one of the client's; `None` is a thing that is
    /// not there, which nothing matches. Weak tags match nothing here (RFC 9110, section 13.1.1).
    pub fn check(&self, current: Option<&str>) -> Result<(), Error> {
        let matches = |current: &str| self.0.trim() == "*" || tags(&self.0).any(|tag| tag == current);
        match current {
            Some(current) if !current.starts_with("W/") && matches(current) => Ok(()),
            _ => Err(Error::new(412, "it has changed since: get it again")),
        }
    }
}

/// Whether an entity tag is one of a client's `if-none-match`, weak or not.
pub(crate) fn none_match(condition: &str, current: &str) -> bool {
    let bare = |tag: &str| tag.trim_start_matches("W/").to_owned();
    condition.trim() == "*" || tags(condition).any(|tag| bare(tag) == bare(current))
}

/// The entity tags of a list, with their quotes. A comma may stand within the quotes.
fn tags(list: &str) -> impl Iterator<Item = &str> {
    let mut rest = list;
    std::iter::from_fn(move || {
        rest = rest.trim_start_matches([' ', '\t', ',']);
        let open = rest.find('"')?;
        let close = open + 1 + rest.get(open + 1..)?.find('"')?;
        let tag = rest.get(..=close)?;
        rest = rest.get(close + 1..).unwrap_or_default();
        Some(tag)
    })
}
