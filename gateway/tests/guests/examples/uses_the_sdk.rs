//! Does with the SDK what its path says: the same source for WASI 0.2 and 0.3.
#![cfg(target_arch = "wasm32")]

use std::time::Duration;

use wasmgate_sdk::{Body, BodyWriter, Error, Request, Response, Router, client, serve, time};

fn app() -> Router {
    Router::new()
        .any("/request", describe)
        .post("/echo", |mut request: Request| {
            let body = request.take_body();
            Response::stream(|to| pass(body, to))
        })
        .post("/length", length)
        .get("/count", count)
        .get("/breaks", |_| {
            Response::stream(|mut to| async move {
                to.write("begun").await?;
                to.flush().await?;
                Err(Error::internal("it ends here"))
            })
        })
        .get("/status/{code}", |request: Request| {
            let code = request
                .param("code")
                .and_then(|code| code.parse::<u16>().ok());
            Response::new(code.unwrap_or_default()).with_header("x-test", "value")
        })
        .get("/print", |_| {
            print!("printed without a line end");
            "printed"
        })
        .get("/fetch", fetch)
        .post("/upload", upload)
}

serve!(app);

fn describe(request: Request) -> String {
    let header = request.header("x-test").unwrap_or_default();
    format!(
        "{} {}?{} {} {header}\n",
        request.method(),
        request.path(),
        request.query_string(),
        request.authority().unwrap_or_default(),
    )
}

/// Passes a body on as it comes, with what follows it.
async fn pass(mut body: Body, mut to: BodyWriter) -> Result<(), Error> {
    to.copy(&mut body).await?;
    for (name, value) in &body.trailers().await? {
        to.trailer(name, value);
    }
    Ok(())
}

async fn length(mut request: Request) -> Result<String, Error> {
    let first = request.bytes().await?.len();
    let again = request.take_body().bytes(1).await?.len();
    Ok(format!("{first} {again}"))
}

fn count(request: Request) -> Response {
    let most = number(&request, "n");
    Response::stream(move |mut to| async move {
        for number in 0..most {
            to.write(format!("{number}\n")).await?;
            time::sleep(Duration::from_millis(1)).await;
        }
        to.trailer("x-count", most.to_string());
        Ok(())
    })
}

async fn fetch(request: Request) -> Result<Response, Error> {
    let answer = client::get(url(&request)).send().await?;
    let status = answer.status();
    let body = answer.into_body();
    Ok(Response::stream(|to| pass(body, to)).with_status(status))
}

async fn upload(mut request: Request) -> Result<Response, Error> {
    let (to, body) = (url(&request), request.take_body());
    let answer = client::post(to).stream(|to| pass(body, to)).send().await?;
    let status = answer.status();
    let body = answer.into_body();
    Ok(Response::stream(|to| pass(body, to)).with_status(status))
}

fn url(request: &Request) -> String {
    request.query_param("url").unwrap_or_default().into_owned()
}

fn number(request: &Request, name: &str) -> u32 {
    let number = request.query_param(name);
    number
        .and_then(|number| number.parse().ok())
        .unwrap_or_default()
}
