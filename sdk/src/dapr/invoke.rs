//! Calls to other apps.

use std::borrow::Cow;

use http::{HeaderName, HeaderValue};
use serde::{Serialize, de::DeserializeOwned};

use super::{Error, api};
use crate::{BodyWriter, Method, client};

/// Another app, from [`dapr::invoke`](fn@crate::dapr::invoke).
///
/// ```
/// # use wasmgate_sdk::{Error, Response, Router, dapr, testing};
/// use serde::Deserialize;
/// #[derive(Deserialize)]
/// struct Item { name: String, price: f64 }
///
/// async fn menu() -> Result<Vec<Item>, Error> {
///     Ok(dapr::invoke("product-api").get("/v1-get-item-types").fetch().await?)
/// }
///
/// // Under test the other app is its router.
/// let dapr = testing::dapr();
/// dapr.app("product-api", Router::new().get("/v1-get-item-types", |_| {
///     Response::json(&serde_json::json!([{"name": "LATTE", "price": 4.5}]))
/// }));
/// let menu = testing::block_on(menu()).unwrap();
/// assert_eq!((menu[0].name.as_str(), menu[0].price), ("LATTE", 4.5));
/// ```
#[derive(Clone, Debug)]
pub struct App {
    id: Cow<'static, str>,
}

/// A call to another app that is being put together.
///
/// ```
/// # use wasmgate_sdk::{Error, Response, dapr};
/// /// Passes another app's answer on as it comes, whatever its status.
/// async fn forward() -> Result<Response, Error> {
///     let answer = dapr::invoke("files").get("/report.csv?year=2026").send().await?;
///     let status = answer.status();
///     let mut body = answer.into_body();
///     let response = Response::stream(|mut out| async move { Ok(out.copy(&mut body).await?) });
///     Ok(response.with_status(status))
/// }
/// # let _ = forward;
/// ```
#[derive(Debug)]
#[must_use = "a call is made when it is sent"]
pub struct Invocation {
    call: client::Call,
}

impl App {
    pub(super) fn new(id: Cow<'static, str>) -> Self {
        App { id }
    }

    /// A GET of a path of the app, with a query if there is one, both percent-encoded.
    pub fn get(&self, path: impl AsRef<str>) -> Invocation {
        self.request(Method::GET, path)
    }

    /// A POST.
    pub fn post(&self, path: impl AsRef<str>) -> Invocation {
        self.request(Method::POST, path)
    }

    /// A PUT.
    pub fn put(&self, path: impl AsRef<str>) -> Invocation {
        self.request(Method::PUT, path)
    }

    /// A PATCH.
    pub fn patch(&self, path: impl AsRef<str>) -> Invocation {
        self.request(Method::PATCH, path)
    }

    /// A DELETE.
    pub fn delete(&self, path: impl AsRef<str>) -> Invocation {
        self.request(Method::DELETE, path)
    }

    /// A request of any method.
    pub fn request(&self, method: Method, path: impl AsRef<str>) -> Invocation {
        let url = api::invocation_url(&self.id, path.as_ref());
        Invocation {
            call: api::with_token(client::request(method, url)),
        }
    }
}

impl Invocation {
    /// Adds a header.
    pub fn header(self, name: impl TryInto<HeaderName>, value: impl TryInto<HeaderValue>) -> Self {
        self.with(|call| call.header(name, value))
    }

    /// A body of bytes or text; its content type is for the caller to say.
    pub fn body(self, body: impl Into<Vec<u8>>) -> Self {
        self.with(|call| call.body(body))
    }

    /// A body of a value as JSON.
    pub fn json(self, value: &impl Serialize) -> Self {
        self.with(|call| call.json(value))
    }

    /// A body written piece by piece, while the answer is waited for and read.
    pub fn stream<F, Fut>(self, produce: F) -> Self
    where
        F: FnOnce(BodyWriter) -> Fut + 'static,
        Fut: Future<Output = Result<(), crate::Error>> + 'static,
    {
        self.with(|call| call.stream(produce))
    }

    /// Anything else a call can be told: its time-outs, for example.
    pub fn with(self, change: impl FnOnce(client::Call) -> client::Call) -> Self {
        Invocation {
            call: change(self.call),
        }
    }

    /// Sends it and waits for the head of the answer, which may have any status: the app's own, or
    /// Dapr's when the app could not be called. [`check`] tells the errors apart.
    pub async fn send(self) -> Result<client::Response, Error> {
        Ok(self.call.send().await?)
    }

    /// Sends it and reads the answer as JSON. [`Error::App`] when the app answers 400 or above,
    /// [`Error::NotFound`], [`Error::NotGranted`] or [`Error::Unavailable`] when it could not be
    /// called.
    pub async fn fetch<T: DeserializeOwned>(self) -> Result<T, Error> {
        Ok(check(self.send().await?).await?.json().await?)
    }
}

/// The answer to an invocation if its status is below 400, otherwise what the status means.
///
/// ```
/// # use wasmgate_sdk::{Error, dapr};
/// async fn cancel(id: &str) -> Result<bool, Error> {
///     let answer = dapr::invoke("counter-api").delete(format!("/orders/{id}")).send().await?;
///     match dapr::invoke::check(answer).await {
///         Ok(_) => Ok(true),
///         Err(dapr::Error::App { status: 404, .. }) => Ok(false), // no such order
///         Err(error) => Err(error.into()),                        // no such app, for example
///     }
/// }
/// # let _ = cancel;
/// ```
pub async fn check(answer: client::Response) -> Result<client::Response, Error> {
    if answer.status().as_u16() < 400 {
        return Ok(answer);
    }
    Err(Error::from_invocation(answer).await)
}
