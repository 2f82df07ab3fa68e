//! Bindings: calls to outside systems, and calls from them.

use std::{borrow::Cow, rc::Rc};

use serde::{Serialize, de::DeserializeOwned};
use serde_json::value::{RawValue, to_raw_value};

use super::{
    Error, IntoOutcome,
    api::Api,
    delivery::{Accepted, Handler, Source},
    metadata::Metadata,
};
use crate::{HeaderMap, Method, Router, percent};

/// An output binding, from [`dapr::binding`](crate::dapr::binding).
///
/// ```
/// # use wasmgate_sdk::{Error, dapr};
/// async fn keep(report: &str) -> Result<String, Error> {
///     let files = dapr::binding("files");
///     files.operation("create").data(report).metadata("fileName", "report.txt").send().await?;
///     let answer = files.operation("get").metadata("fileName", "report.txt").send().await?;
///     Ok(answer.text()?)
/// }
/// # let dapr = wasmgate_sdk::testing::dapr();
/// # dapr.binding("files", |operation, _| (operation == "get").then(|| "all is well".into()));
/// # assert_eq!(wasmgate_sdk::testing::block_on(keep("all is well")).unwrap(), "all is well");
/// ```
#[derive(Clone, Debug)]
pub struct Binding {
    name: Cow<'static, str>,
}

/// One operation of an output binding, from [`Binding::operation`].
///
/// ```
/// # use wasmgate_sdk::dapr;
/// let keep = dapr::binding("files")
///     .operation("create")
///     .data(&serde_json::json!({"total": 4.5}))
///     .metadata("fileName", "report.json");
/// # let _ = keep;
/// ```
#[derive(Debug)]
#[must_use = "nothing happens until it is sent"]
pub struct Operation {
    binding: Cow<'static, str>,
    operation: String,
    /// A value that cannot be written as JSON shows when it is sent.
    data: Result<Option<Box<RawValue>>, serde_json::Error>,
    metadata: Metadata,
}

/// An output binding's answer, from [`Operation::send`].
///
/// ```
/// # use wasmgate_sdk::{Error, dapr};
/// async fn total() -> Result<f64, Error> {
///     let answer = dapr::binding("rates").operation("get").send().await?;
///     println!("status {:?}", answer.headers.get("metadata.statusCode"));
///     Ok(answer.json()?)
/// }
/// # let dapr = wasmgate_sdk::testing::dapr();
/// # dapr.binding("rates", |_, _| Some("4.5".into()));
/// # assert_eq!(wasmgate_sdk::testing::block_on(total()).unwrap(), 4.5);
/// ```
#[derive(Clone, Debug)]
pub struct BindingAnswer {
    /// The answer, empty if the operation has none.
    pub bytes: Vec<u8>,
    /// The binding's metadata about it, as `metadata.*` headers.
    pub headers: HeaderMap,
}

impl Binding {
    pub(super) fn new(name: Cow<'static, str>) -> Self {
        Binding { name }
    }

    /// An operation, such as `create`, `get`, `delete` or `list`: which there are is the
    /// component's to say.
    pub fn operation(&self, operation: impl Into<String>) -> Operation {
        Operation {
            binding: self.name.clone(),
            operation: operation.into(),
            data: Ok(None),
            metadata: Metadata::new(),
        }
    }
}

impl Operation {
    /// The data, as JSON; text is taken as it is.
    pub fn data(mut self, data: &(impl Serialize + ?Sized)) -> Self {
        self.data = to_raw_value(data).map(Some);
        self
    }

    /// Metadata for the component.
    pub fn metadata(mut self, name: impl Into<Cow<'static, str>>, value: impl Into<String>) -> Self {
        self.metadata.set(name, value);
        self
    }

    /// Does it. Whatever fails in the outside system is [`Error::Api`].
    pub async fn send(self) -> Result<BindingAnswer, Error> {
        #[derive(Serialize)]
        struct Body {
            operation: String,
            #[serde(skip_serializing_if = "Option::is_none")]
            data: Option<Box<RawValue>>,
            #[serde(skip_serializing_if = "Metadata::is_empty")]
            metadata: Metadata,
        }
        let body = Body {
            operation: self.operation,
            data: self.data?,
            metadata: self.metadata,
        };
        let response = Api::new(Method::POST, "/v1.0/bindings")
            .segment(&self.binding)
            .json(&body)
            .send()
            .await?;
        let headers = response.headers().clone();
        let bytes = response.bytes().await?;
        Ok(BindingAnswer { bytes, headers })
    }
}

impl BindingAnswer {
    /// The answer as JSON.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, Error> {
        Ok(serde_json::from_slice(&self.bytes)?)
    }

    /// The answer as text.
    pub fn text(self) -> Result<String, Error> {
        String::from_utf8(self.bytes).map_err(|_| crate::client::Error::NotText.into())
    }
}

/// An input binding's event, for a handler of [`Router::binding`].
///
/// ```
/// use wasmgate_sdk::{Error, Router, dapr::bindings::BindingEvent};
///
/// fn arrived(event: BindingEvent) -> Result<(), Error> {
///     let names: Vec<String> = event.json()?;
///     println!("{} names from {:?}", names.len(), event.headers.get("source"));
///     Ok(())
/// }
/// let app = Router::new().binding("inbox", arrived);
/// # let _ = app;
/// ```
#[derive(Clone, Debug)]
pub struct BindingEvent {
    /// The data, as the outside system gave it.
    pub bytes: Vec<u8>,
    /// The request's headers: the component's metadata among them.
    pub headers: HeaderMap,
}

impl BindingEvent {
    /// The data as JSON; 422 when it is not of the type.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, crate::Error> {
        serde_json::from_slice(&self.bytes)
            .map_err(|error| crate::Error::new(422, format!("the binding's data: {error}")))
    }
}

/// Input bindings.
impl Router {
    /// Takes what an input binding brings, on `POST /{name}`; a route of the package's own may not
    /// have that path. For a component whose metadata has a `route`, the name is that route
    /// without its first slash. An error is tried again if the component does that.
    ///
    /// ```
    /// use wasmgate_sdk::{Error, Method, Router, dapr::bindings::BindingEvent, testing};
    ///
    /// async fn tick(event: BindingEvent) -> Result<(), Error> {
    ///     println!("every night: {} bytes", event.bytes.len());
    ///     Ok(())
    /// }
    /// let app = Router::new().binding("nightly", tick);
    /// # let asked = wasmgate_sdk::Request::with_method(Method::OPTIONS, "/nightly");
    /// # assert_eq!(testing::call(&app, asked).status(), 204);
    /// # assert_eq!(testing::call(&app, wasmgate_sdk::Request::post("/nightly")).status(), 200);
    /// ```
    pub fn binding<R, M>(self, name: &'static str, handler: impl Fn(BindingEvent) -> R + 'static) -> Self
    where
        R: IntoOutcome<M>,
    {
        let handler: Handler = Rc::new(move |delivered| {
            let event = BindingEvent {
                bytes: delivered.body,
                headers: delivered.headers,
            };
            Ok(handler(event).into_outcome())
        });
        self.deliver_to(Input { name, handler })
    }
}

struct Input {
    name: &'static str,
    handler: Handler,
}

impl Source for Input {
    fn accept(&self, method: &Method, path: &str) -> Option<Accepted> {
        if percent::decode(path.strip_prefix('/')?) != self.name {
            return None;
        }
        match method.as_str() {
            "OPTIONS" => Some(Accepted::Asked),
            "POST" => Some(Accepted::Delivered(Rc::clone(&self.handler), String::new())),
            _ => None,
        }
    }

    #[cfg(not(target_family = "wasm"))]
    fn path(&self) -> Option<String> {
        Some(format!("/{}", self.name))
    }
}
