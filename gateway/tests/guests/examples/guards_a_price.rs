//! Keeps a price that clients change and remove by its ETag, with the SDK, in the store `STORE`; PATCH does it in a
//! transaction.
#![cfg(target_arch = "wasm32")]

use wasmgate_sdk::{
    Error, Request, Response, Router,
    dapr::{
        self,
        state::{Etag, Save, Store},
    },
    serve,
};

fn app() -> Router {
    Router::new()
        .get("/{*rest}", show)
        .post("/{*rest}", create)
        .put("/{*rest}", change)
        .patch("/{*rest}", change_in_a_transaction)
        .delete("/{*rest}", remove)
}

serve!(app);

fn store() -> Store {
    let name = std::env::var("STORE").unwrap_or_else(|_| "statestore".to_owned());
    dapr::state(name)
}

fn etag(request: &Request) -> Result<Etag, Error> {
    Etag::from_request(request).ok_or_else(|| Error::new(428, "send if-match"))
}

async fn show(_: Request) -> Result<Response, Error> {
    let price = store().entry::<u32>("price").await?;
    let price = price.ok_or_else(|| Error::not_found("there is no price"))?;
    Ok(Response::json(&price.value).with_header("etag", price.etag.quoted()))
}

async fn create(mut request: Request) -> Result<(), Error> {
    let price: u32 = request.json().await?;
    Ok(store().create("price", &price).await?)
}

async fn change(mut request: Request) -> Result<(), Error> {
    let etag = etag(&request)?;
    let price: u32 = request.json().await?;
    Ok(store().replace("price", &price, &etag).await?)
}

async fn change_in_a_transaction(mut request: Request) -> Result<(), Error> {
    let etag = etag(&request)?;
    let price: u32 = request.json().await?;
    let save = Save::new("price", &price).if_match(&etag);
    let changes = store().transaction().upsert("changed", &true).save(save);
    Ok(changes.commit().await?)
}

async fn remove(request: Request) -> Result<(), Error> {
    Ok(store().delete_if("price", &etag(&request)?).await?)
}
