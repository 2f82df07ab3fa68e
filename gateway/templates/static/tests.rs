use wasmgate_sdk::{Request, testing};

use super::app;

#[test]
fn the_page_is_at_the_root_and_known_by_its_etag() {
    let page = testing::call(&app(), Request::get("/"));
    assert_eq!(page.status(), 200);
    assert_eq!(page.header("content-type"), Some("text/html; charset=utf-8"));
    let etag = page.header("etag").unwrap_or_default();
    let again = Request::get("/").with_header("if-none-match", etag);
    assert_eq!(testing::call(&app(), again).status(), 304);
}

#[test]
fn what_is_not_in_the_site_is_not_found() {
    assert_eq!(testing::call(&app(), Request::get("/nowhere")).status(), 404);
}
