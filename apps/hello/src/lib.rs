//! The smallest package: one route, one answer.

use wasmgate_sdk::{Router, serve};

/// The package's routes.
pub fn app() -> Router {
    Router::new().get("/hello", |_| "Hello from Wasmgate!\n")
}

serve!(app);

#[cfg(test)]
mod tests;
