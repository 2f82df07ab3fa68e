//! All orders, newest first, a page at a time.

use coffeeshop_common::{OrderId, STORE};
use serde::Deserialize;
use wasmgate_sdk::{Error, Request, Response, dapr};

use crate::{api::public, order::Order, order_list::OrderList};

/// Orders on a page unless `size` says otherwise.
const SIZE: usize = 20;

/// The most orders on a page: about 50 KB.
const SIZE_MAX: usize = 100;

/// `?page=1&size=20`.
#[derive(Deserialize)]
struct Page {
    page: Option<usize>,
    size: Option<usize>,
}

/// `GET /v1/api/fulfillment-orders`: an array, as the reference has it; `x-total-count` says how
/// many there are in all, and `link` (RFC 8288) where the next and the previous page are.
pub(crate) async fn list(request: Request) -> Result<Response, Error> {
    let Page { page, size } = request.query()?;
    let (page, size) = (page.unwrap_or(1), size.unwrap_or(SIZE));
    if page == 0 || size == 0 || size > SIZE_MAX {
        return Err(Error::bad_request(format!(
            "pages begin at 1 and have 1 to {SIZE_MAX} orders: ?page=1&size={SIZE}"
        )));
    }
    let list = OrderList::read().await?;
    let skip = (page - 1).saturating_mul(size);
    let orders = load(&list.newest_first(skip, size).await?).await?;
    let mut response = Response::json(&orders)
        .with_header("cache-control", "no-store")
        .with_header("x-total-count", list.len().to_string());
    let links = links(&request, page, size, list.len());
    if !links.is_empty() {
        response = response.with_header("link", links);
    }
    Ok(response)
}

async fn load(ids: &[OrderId]) -> Result<Vec<Order>, Error> {
    let keys: Vec<String> = ids.iter().map(OrderId::key).collect();
    let entries = dapr::state(STORE).get_many::<Order>(&keys).await?;
    Ok(entries
        .into_iter()
        .filter_map(|(_, entry)| entry.map(|entry| entry.value))
        .collect())
}

fn links(request: &Request, page: usize, size: usize, total: usize) -> String {
    let path = public(request, "/v1/api/fulfillment-orders");
    let mut links = Vec::new();
    let mut link = |page: usize, rel: &str| {
        links.push(format!("<{path}?page={page}&size={size}>; rel=\"{rel}\""));
    };
    if page > 1 {
        link(page - 1, "prev");
    }
    if page.saturating_mul(size) < total {
        link(page + 1, "next");
    }
    links.join(", ")
}
