//! Says things and never ends the line: in a handler that is done at once, in one that waits, and while it streams.
#![cfg(target_arch = "wasm32")]

use wasmgate_sdk::{Request, Response, Router, serve};

serve!(app);

fn app() -> Router {
    Router::new()
        .get("/at-once", |_| {
            print!("at once");
            "said"
        })
        .post("/waits", |mut request: Request| async move {
            let body = request.text().await;
            print!("after {}", body.unwrap_or_default());
            "said"
        })
        .get("/streams", |_| {
            Response::stream(|mut body| async move {
                print!("before, ");
                body.write("said").await?;
                print!("and after");
                Ok(())
            })
        })
        .get("/fails", |_| async {
            print!("nothing works");
            Err::<(), _>(wasmgate_sdk::Error::conflict("as said"))
        })
}
