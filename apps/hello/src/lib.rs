use wasmgate_sdk::{Router, serve};

pub fn app() -> Router {
    Router::new().get("/hello", |_| "Hello from Wasmgate!\n")
}

serve!(app);

#[cfg(test)]
mod tests;
