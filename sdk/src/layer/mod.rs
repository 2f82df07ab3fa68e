//! Layers: functions around handlers, and some that are ready.
//!
//! ```
//! use wasmgate_sdk::{Next, Request, Response, Router, layer, testing};
//!
//! async fn only_with_key(request: Request, next: Next) -> Response {
//!     match request.header("x-key") {
//!         Some("open sesame") => next.run(request).await.with_header("x-let-in", "yes"),
//!         _ => Response::new(401),
//!     }
//! }
//!
//! let app = Router::new()
//!     .get("/treasure", |_| "gold")
//!     .layer(only_with_key)
//!     .get("/door", |_| "closed") // added after the layer, and not within it
//!     .layer(layer::body_limit(64 << 10));
//! let ask = |key| testing::call(&app, Request::get("/treasure").with_header("x-key", key));
//! assert_eq!(ask("open sesame").header("x-let-in"), Some("yes"));
//! assert_eq!(ask("please").status(), 401);
//! assert_eq!(testing::call(&app, Request::get("/door")).status(), 200);
//! ```

pub(crate) mod conditional;
mod cors;

use std::rc::Rc;

pub use cors::Cors;

use crate::{Answer, Error, IntoAnswer, Request};

/// What a layer is around: the handler, or the layers between.
#[derive(Clone)]
pub struct Next(pub(crate) Rc<dyn Fn(Request) -> Answer>);

impl Next {
    /// Answers the request; wait for the answer with `.await`, or change it with [`Answer::map`] without waiting.
    pub fn run(&self, request: Request) -> Answer {
        (self.0)(request)
    }
}

impl std::fmt::Debug for Next {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Next")
    }
}

/// Refuses bodies that are longer, with 413: at once where the length is said, and otherwise where it is read whole or
/// as a form. In place of [`DEFAULT_BODY_LIMIT`](crate::DEFAULT_BODY_LIMIT), in bytes.
pub fn body_limit(bytes: usize) -> impl Fn(Request, Next) -> Answer {
    move |mut request, next| {
        let said = request
            .header("content-length")
            .and_then(|length| length.parse::<u64>().ok());
        if said.is_some_and(|said| said > bytes as u64) {
            return Error::new(413, format!("the body is longer than {bytes} bytes")).into_answer();
        }
        request.limit_body(bytes);
        next.run(request)
    }
}

/// Lets clients keep what GET answers with 200 and a whole body: an `etag` is added unless there is one,
/// `if-none-match` is answered with 304 and a range with 206. The handler runs all the same; what is saved is the
/// sending.
pub fn caching() -> impl Fn(Request, Next) -> Answer {
    |request, next| {
        let asked = conditional::Asked::of(&request);
        next.run(request).map(move |response| asked.apply(response))
    }
}
