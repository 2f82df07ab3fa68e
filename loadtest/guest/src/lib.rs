//! The package that the load test loads: small and larger answers, bodies
//! both ways, and one key of state.

mod document;

use wasmgate_sdk::{Error, Request, Response, Router, dapr, serve};

pub use document::Document;

/// The largest body of `/body/{bytes}`, 1 MiB: far below the gateway's default
/// limits of bodies and memory, so that a load measures moving bytes, not
/// refusing them.
pub const MAX_BODY_BYTES: usize = 1 << 20;
/// The answer to `/hello`.
pub const HELLO: &str = "Hello from Wasmgate!\n";
/// The store that `/state` reads and writes.
pub const STORE: &str = "statestore";

/// The only key, so that a load measures the way to the store and back and
/// not the store's size.
const KEY: &str = "bench";

/// What the package answers.
pub fn app() -> Router {
    Router::new()
        .get("/hello", |_| HELLO)
        .get("/json", |_| Response::json(&Document::new()))
        .get("/body/{bytes}", send)
        .post("/body", count)
        .get("/state", read)
        .put("/state", write)
}

serve!(app);

fn send(request: Request) -> Result<Response, Error> {
    let bytes = request.param("bytes").and_then(|text| text.parse().ok());
    match bytes {
        Some(bytes) if bytes <= MAX_BODY_BYTES => Ok(Response::bytes(vec![b'x'; bytes])),
        _ => Err(Error::not_found(format!(
            "a body is of 0 to {MAX_BODY_BYTES} bytes"
        ))),
    }
}

async fn count(mut request: Request) -> Result<String, Error> {
    let (mut body, mut bytes) = (request.take_body(), 0);
    while let Some(piece) = body.chunk().await? {
        bytes += piece.len();
    }
    Ok(bytes.to_string())
}

async fn read(_: Request) -> Result<Response, Error> {
    match dapr::state(STORE).get::<serde_json::Value>(KEY).await? {
        Some(value) => Ok(Response::json(&value)),
        None => Err(Error::not_found("nothing is saved; PUT /state first")),
    }
}

async fn write(mut request: Request) -> Result<Response, Error> {
    let value: serde_json::Value = request.json().await?;
    dapr::state(STORE).save(KEY, &value).await?;
    Ok(Response::new(204))
}

#[cfg(test)]
mod tests;
