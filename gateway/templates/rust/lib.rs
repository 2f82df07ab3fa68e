//! `app` is the package's router. Each request runs it in a fresh instance: what is to last goes into a store.

use serde::{Deserialize, Serialize};
use wasmgate_sdk::{Error, Json, Request, Router, serve};

/// The routes, below the prefix that `wasmgate.toml` takes off.
pub fn app() -> Router {
    Router::new().get("/{name}", greet).post("/", welcome)
}

serve!(app);

fn greet(request: Request) -> String {
    let name = request.param("name").unwrap_or_default();
    format!("Hello, {name}!\n")
}

#[derive(Deserialize)]
struct Visitor {
    name: String,
}

#[derive(Serialize)]
struct Welcome {
    greeting: String,
}

/// Takes and gives JSON; a body that is none, or does not fit, is answered with the reason (400, 415, 422).
async fn welcome(mut request: Request) -> Result<Json<Welcome>, Error> {
    let visitor: Visitor = request.json().await?;
    let greeting = format!("Welcome, {}!", visitor.name);
    Ok(Json(Welcome { greeting }))
}

#[cfg(test)]
mod tests;
