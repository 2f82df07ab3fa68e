//! Calls outward over HTTP.
//!
//! The gateway lets a package call only the hosts its `outbound` list names. Redirects are not
//! followed, and a status such as 404 is an answer, not an error, unless
//! [`Response::error_for_status`] is asked.
//!
//! ```
//! use std::time::Duration;
//! use serde::Deserialize;
//! use wasmgate_sdk::{Error, Request, Response, Router, client, testing};
//!
//! #[derive(Deserialize)]
//! struct Rate { usd: f64 }
//!
//! async fn price(_: Request) -> Result<Response, Error> {
//!     let rate: Rate = client::get("https://api.example.com/rates/eur")
//!         .header("accept", "application/json")
//!         .first_byte_timeout(Duration::from_secs(2))
//!         .send()
//!         .await?
//!         .error_for_status()?
//!         .json()
//!         .await?;
//!     Ok(Response::text(format!("{:.2}", 4.5 * rate.usd)))
//! }
//!
//! // Under test the world outside is a closure, or a router.
//! let _outside = testing::outbound(|request| {
//!     assert_eq!(request.authority().as_deref(), Some("api.example.com"));
//!     Ok(Response::json(&serde_json::json!({"usd": 1.1})))
//! });
//! let app = Router::new().get("/price", price);
//! assert_eq!(testing::call(&app, Request::get("/price")).text(), "4.95");
//! ```

pub(crate) mod call;
mod error;
mod response;
mod url;

pub use call::Call;
pub use error::Error;
pub use response::Response;

use crate::Method;

/// A GET request.
pub fn get(url: impl AsRef<str>) -> Call {
    request(Method::GET, url)
}

/// A POST request.
pub fn post(url: impl AsRef<str>) -> Call {
    request(Method::POST, url)
}

/// A PUT request.
pub fn put(url: impl AsRef<str>) -> Call {
    request(Method::PUT, url)
}

/// A PATCH request.
pub fn patch(url: impl AsRef<str>) -> Call {
    request(Method::PATCH, url)
}

/// A DELETE request.
pub fn delete(url: impl AsRef<str>) -> Call {
    request(Method::DELETE, url)
}

/// A request of any method; a URL that is not one shows when it is sent.
pub fn request(method: Method, url: impl AsRef<str>) -> Call {
    Call::new(method, url.as_ref())
}
