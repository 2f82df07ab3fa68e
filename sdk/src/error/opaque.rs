//! Errors of kinds that libraries hand out, whose own type is not known.

use std::{error::Error as StdError, fmt};

use http::StatusCode;

use super::{Error, Inner, gateway_status, problem::Problem};

/// An error that hides its type: `Box<dyn Error>`, with `Send` and `Sync` or not, and `anyhow::Error`.
///
/// A handler's `Result` may have it as it is. The client gets 500 and no detail, the log the error with all its causes.
/// An [`Error`] that became one with `?` is answered as itself, whatever context was added to it since, and a failed
/// call outward with 502 or 504.
///
/// ```
/// use wasmgate_sdk::{Request, Router, testing};
///
/// async fn price(mut request: Request) -> anyhow::Result<String> {
///     let cents: u32 = request.json().await?; // 400 or 422, as it would be anywhere
///     let rate: f64 = std::env::var("RATE")?.parse()?; // 500
///     Ok(format!("{:.2}", f64::from(cents) * rate))
/// }
///
/// let app = Router::new().post("/price", price);
/// let post = |body| testing::call(&app, Request::post("/price").with_body(body));
/// assert_eq!(post("no number").status(), 400);
/// assert_eq!(post("350").status(), 500);
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no error that a handler may fail with",
    note = "use `wasmgate_sdk::Error`, any `std::error::Error`, `anyhow::Error` or `Box<dyn Error>`"
)]
pub trait OpaqueError {
    /// Converts it into the error that is answered.
    fn into_error(self) -> Error;
}

impl OpaqueError for Box<dyn StdError> {
    fn into_error(self) -> Error {
        let found = find(&*self);
        found.into_error(self)
    }
}

impl OpaqueError for Box<dyn StdError + Send> {
    fn into_error(self) -> Error {
        (self as Box<dyn StdError>).into_error()
    }
}

impl OpaqueError for Box<dyn StdError + Send + Sync> {
    fn into_error(self) -> Error {
        (self as Box<dyn StdError>).into_error()
    }
}

#[cfg(feature = "anyhow")]
impl OpaqueError for anyhow::Error {
    fn into_error(self) -> Error {
        // Not by its first cause, which is a type of its own that hides the error's.
        let found = self
            .chain()
            .next()
            .map_or(Found::Status(StatusCode::INTERNAL_SERVER_ERROR), find);
        found.into_error(self.into())
    }
}

impl From<Error> for Box<dyn StdError> {
    fn from(error: Error) -> Self {
        Box::new(Carried::from(error))
    }
}

impl From<Error> for Box<dyn StdError + Send + Sync> {
    fn from(error: Error) -> Self {
        Box::new(Carried::from(error))
    }
}

#[cfg(feature = "anyhow")]
impl From<Error> for anyhow::Error {
    fn from(error: Error) -> Self {
        anyhow::Error::new(Carried::from(error))
    }
}

/// An [`Error`] on its way through another kind, which may ask that it can go to another thread: its cause is text.
struct Carried {
    problem: Problem,
    story: String,
    has_cause: bool,
}

impl From<Error> for Carried {
    fn from(error: Error) -> Self {
        Carried {
            story: error.to_string(),
            has_cause: error.0.source.is_some(),
            problem: error.0.problem,
        }
    }
}

impl fmt::Display for Carried {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.story)
    }
}

impl fmt::Debug for Carried {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.story)
    }
}

impl StdError for Carried {}

/// What a chain of causes says of the answer.
enum Found {
    /// One of ours, and whether the log has something to say.
    Problem(Problem, bool),
    Status(StatusCode),
}

impl Found {
    fn into_error(self, source: Box<dyn StdError>) -> Error {
        match self {
            Found::Status(status) => Error::from_source(status, source),
            Found::Problem(problem, is_told) => Error(Box::new(Inner {
                problem,
                source: is_told.then_some(source),
            })),
        }
    }
}

fn find(error: &(dyn StdError + 'static)) -> Found {
    let (mut next, mut depth) = (Some(error), 0);
    while let Some(error) = next {
        if let Some(carried) = error.downcast_ref::<Carried>() {
            return Found::Problem(carried.problem.clone(), carried.has_cause || depth > 0);
        }
        if let Some(status) = gateway_status(error) {
            return Found::Status(status);
        }
        (next, depth) = (error.source(), depth + 1);
    }
    Found::Status(StatusCode::INTERNAL_SERVER_ERROR)
}
