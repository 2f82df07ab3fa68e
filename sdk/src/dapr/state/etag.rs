//! Versions of values, as stores give them and as clients send them back.

use http::header::IF_MATCH;

use crate::{Request, dapr::Error};

/// The longest ETag that is sent, in bytes: those of stores are UUIDs and numbers of a few dozen.
const BYTES_MAX: usize = 1024;

/// The version of a value: every write makes a new one.
///
/// Between a package and its clients it is an entity tag (RFC 9110, section 8.8.3), in quotes:
/// [`quoted`](Etag::quoted) goes into the header `etag`, and [`from_request`](Etag::from_request) reads `if-match`. One
/// that is made up, or of a form that the store does not know, is the version of nothing, so that a write with it fails
/// with [`Error::EtagMismatch`].
///
/// ```
/// use wasmgate_sdk::{Error, Request, Response, Router, dapr::{self, state::Etag}, testing};
///
/// async fn show(_: Request) -> Result<Response, Error> {
///     let entry = dapr::state("statestore").entry::<u32>("price").await?;
///     let entry = entry.ok_or_else(|| Error::not_found("there is no price"))?;
///     Ok(Response::json(&entry.value).with_header("etag", entry.etag.quoted()))
/// }
/// async fn change(mut request: Request) -> Result<(), Error> {
///     let etag = Etag::from_request(&request).ok_or_else(|| Error::new(428, "send if-match"))?;
///     let price: u32 = request.json().await?;
///     Ok(dapr::state("statestore").replace("price", &price, &etag).await?) // 409 if it has changed
/// }
///
/// let app = Router::new().get("/price", show).put("/price", change);
/// let dapr = testing::dapr();
/// dapr.set_state("statestore", "price", 3.into());
/// let etag = testing::call(&app, Request::get("/price")).header("etag").unwrap().to_owned();
/// let put = |etag: &str| Request::put("/price").with_header("if-match", etag).with_body("4");
/// assert_eq!(testing::call(&app, put("\"wrong\"")).status(), 409);
/// assert_eq!(testing::call(&app, put(&etag)).status(), 204);
/// assert_eq!(testing::call(&app, put(&etag)).status(), 409);
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Etag(String);

impl Etag {
    /// Reads a client's `if-match`, without its quotes; `None` when there is no such header.
    ///
    /// A list, `*` and a weak tag (`W/"…"`) name no one version, so nothing matches them here.
    pub fn from_request(request: &Request) -> Option<Self> {
        let mut values = request.headers().get_all(IF_MATCH).iter();
        let text = values.next()?;
        // Several are a list, and text that is not UTF-8 is nothing that a store has given.
        let text = match (str::from_utf8(text.as_bytes()), values.next()) {
            (Ok(text), None) => text.trim(),
            _ => "*",
        };
        let bare = text
            .strip_prefix('"')
            .and_then(|text| text.strip_suffix('"'));
        Some(Etag(bare.unwrap_or(text).to_owned()))
    }

    /// The ETag as the store gave it.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The ETag as clients get it, in quotes, for the header `etag`.
    pub fn quoted(&self) -> String {
        format!("\"{}\"", self.0)
    }

    /// The ETag as Dapr gets it. An empty one would be none to Dapr, and the write would be unconditional; one that no
    /// header can carry is nothing that a store has given.
    pub(super) fn into_sent(self) -> Result<String, Error> {
        let sound = |byte: u8| (0x20..0x7f).contains(&byte);
        // Spaces around it would be lost in a header, and nothing be left of it.
        let whole = !self.0.is_empty() && self.0.trim().len() == self.0.len();
        if whole && self.0.len() <= BYTES_MAX && self.0.bytes().all(sound) {
            return Ok(self.0);
        }
        let message = match self.0.as_str() {
            "" => "the ETag is empty: the store gives none, or the client sent none".to_owned(),
            etag => format!("no store gives an ETag such as {:?}", start(etag)),
        };
        Err(Error::EtagMismatch { message })
    }
}

/// As much of a text as a log needs.
fn start(text: &str) -> String {
    text.chars().take(64).collect()
}

impl<T: Into<String>> From<T> for Etag {
    fn from(text: T) -> Self {
        Etag(text.into())
    }
}
