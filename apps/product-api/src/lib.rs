//! The coffee shop's catalogue.

mod catalogue;

use serde::Deserialize;
use wasmgate_sdk::{Error, Request, Response, Router, serve};

use crate::catalogue::{ITEMS, Item};

/// The routes, as the gateway sees them after `/p` is stripped.
pub fn app() -> Router {
    Router::new()
        .get("/v1-get-item-types", |_| Response::json(&ITEMS))
        .get("/v1-get-items-by-types", items_by_types)
}

serve!(app);

/// The items asked for: item types as numbers with commas between them.
#[derive(Deserialize)]
struct Wanted {
    types: String,
}

/// `?types=1,2,3`, or the same in a JSON body, `{"types":"1,2,3"}`; the query comes first.
async fn items_by_types(mut request: Request) -> Result<Response, Error> {
    let types = match request.query_param("types") {
        Some(types) => types.into_owned(),
        None => wanted_in_body(&mut request).await?,
    };
    Ok(Response::json(&items(&types)?))
}

async fn wanted_in_body(request: &mut Request) -> Result<String, Error> {
    let body = request.bytes().await?;
    if body.is_empty() {
        return Err(Error::bad_request(
            "say which items: `?types=1,2,3`, or a JSON body `{\"types\":\"1,2,3\"}`",
        ));
    }
    let wanted: Wanted =
        serde_json::from_slice(&body).map_err(|error| Error::bad_request(format!("the JSON body: {error}")))?;
    Ok(wanted.types)
}

/// The items in the order they are asked for.
fn items(types: &str) -> Result<Vec<&'static Item>, Error> {
    types.split(',').map(|text| item(text.trim())).collect()
}

fn item(text: &str) -> Result<&'static Item, Error> {
    let item_type: u32 = text.parse().map_err(|_| {
        Error::bad_request(format!(
            "`{text}` is no item type; types are numbers, as in `1,2,3`"
        ))
    })?;
    ITEMS
        .iter()
        .find(|item| item.item_type == item_type)
        .ok_or_else(|| Error::bad_request(format!("there is no item of type {item_type}")).with("itemType", item_type))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use wasmgate_sdk::testing::{Reply, call};

    use super::*;

    fn names(reply: &Reply) -> Vec<String> {
        assert_eq!(reply.status(), 200, "{}", reply.text());
        let items: Vec<Value> = reply.json();
        items
            .iter()
            .map(|item| item["name"].as_str().unwrap().to_owned())
            .collect()
    }

    #[test]
    fn the_catalogue_has_every_item_with_its_price() {
        let reply = call(&app(), Request::get("/v1-get-item-types"));
        assert_eq!(names(&reply).len(), 10);
        let items: Value = reply.json();
        assert_eq!(items[5]["name"], "LATTE");
        assert_eq!(items[5]["itemType"], 5);
        assert_eq!(items[7]["price"], 3.25);
        assert!(
            items[9]["image"]
                .as_str()
                .unwrap()
                .contains("CROISSANT_CHOCOLATE")
        );
    }

    #[test]
    fn items_are_found_by_query_or_by_body() {
        let by_query = call(&app(), Request::get("/v1-get-items-by-types?types=8,1"));
        assert_eq!(names(&by_query), ["MUFFIN", "COFFEE_BLACK"]);
        let encoded = call(
            &app(),
            Request::get("/v1-get-items-by-types?types=0%2C%203"),
        );
        assert_eq!(names(&encoded), ["CAPPUCCINO", "ESPRESSO"]);
        let by_body = Request::get("/v1-get-items-by-types").with_json(&json!({"types": "6, 9"}));
        assert_eq!(
            names(&call(&app(), by_body)),
            ["CAKEPOP", "CROISSANT_CHOCOLATE"]
        );
    }

    #[test]
    fn bad_types_are_refused_with_a_problem() {
        let requests = [
            Request::get("/v1-get-items-by-types"),
            Request::get("/v1-get-items-by-types?types="),
            Request::get("/v1-get-items-by-types?types=1,latte"),
            Request::get("/v1-get-items-by-types?types=1,10"),
            Request::get("/v1-get-items-by-types?types=-1"),
            Request::get("/v1-get-items-by-types").with_body("{\"types\":1}"),
            Request::get("/v1-get-items-by-types").with_body("types"),
        ];
        for request in requests {
            let asked = format!("{request:?}");
            let reply = call(&app(), request);
            assert_eq!(reply.status(), 400, "{asked}");
            assert_eq!(
                reply.header("content-type"),
                Some("application/problem+json"),
                "{asked}"
            );
            assert_eq!(reply.json::<Value>()["status"], 400, "{asked}");
        }
    }

    #[test]
    fn the_catalogue_is_read_only() {
        let reply = call(&app(), Request::post("/v1-get-item-types"));
        assert_eq!(
            (reply.status().as_u16(), reply.header("allow")),
            (405, Some("GET, HEAD"))
        );
    }
}
