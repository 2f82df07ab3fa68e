//! Fields in the host and here.

use http::{HeaderMap, HeaderName, HeaderValue};
#[cfg(not(feature = "wasip3"))]
use wasip2::http::types::{Fields, HeaderError};
#[cfg(feature = "wasip3")]
use wasip3::http::types::{Fields, HeaderError};

/// The layout in which a whole list of fields crosses in one call.
type Entries = Vec<(String, Vec<u8>)>;

/// Fields from the host, which lets none through that are not HTTP's.
pub(super) fn header_map(entries: Entries) -> HeaderMap {
    let mut headers = HeaderMap::with_capacity(entries.len());
    for (name, value) in entries {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
            headers.append(name, value);
        }
    }
    headers
}

/// Fields for the host, in one call.
pub(super) fn fields(entries: &Entries) -> Result<Fields, HeaderError> {
    if entries.is_empty() {
        return Ok(Fields::new());
    }
    Fields::from_list(entries)
}
