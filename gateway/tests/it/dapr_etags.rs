//! The values that a client may put into `if-match`, through a package with the SDK, down to the store.

use crate::harness::{Reply, TestGateway, full};

#[tokio::test]
async fn an_if_match_of_any_form_is_a_conflict_and_never_an_internal_error() {
    let gateway = TestGateway::builder()
        .guest_as(
            "till",
            "guards_a_price",
            r#"dapr = { state = ["statestore"] }"#,
        )
        .start();
    etag_scenario(&gateway, "till").await;
}

/// Does what clients do with a price, at whatever store it is kept.
pub(crate) async fn etag_scenario(gateway: &TestGateway, package: &str) {
    let send = async |method: &str, etag: &str, price: &str| put_price(gateway, package, method, etag, price).await;
    let path = format!("/{package}");
    send("POST", "", "3").await.is(204);
    send("POST", "", "4").await.is(409);
    let long = "7".repeat(8000);
    let forms = [
        "\"wrong\"",
        "wrong",
        "",
        "*",
        "W/\"1\"",
        "\"1\", \"2\"",
        "-1",
        "1.5",
        "0x1",
        "18446744073709551616",
        "a b",
        "\"\"",
        long.as_str(),
    ];
    for form in forms {
        for method in ["PUT", "PATCH", "DELETE"] {
            let reply = send(method, form, "5").await;
            assert_eq!(reply.status, 409, "{package}: {method} {form:.40}");
        }
    }
    let shown = gateway.get(&path).await.is(200);
    assert_eq!(shown.text(), "3", "{package}");
    let etag = shown.header("etag").unwrap().to_owned();
    send("PATCH", &etag, "6").await.is(204);
    for method in ["PUT", "PATCH", "DELETE"] {
        let reply = send(method, &etag, "7").await;
        assert_eq!(reply.status, 409, "{package}: {method} {etag}, which was");
    }
    let shown = gateway.get(&path).await.is(200);
    assert_eq!(shown.text(), "6", "{package}");
    let etag = shown.header("etag").unwrap().to_owned();
    send("DELETE", &etag, "").await.is(204);
    gateway.get(&path).await.is(404);
}

/// Sends a price, or asks for the removal of it, if the one that is there has the ETag.
pub(crate) async fn put_price(gateway: &TestGateway, package: &str, method: &str, etag: &str, price: &str) -> Reply {
    let request = gateway.request(method, &format!("/{package}"));
    let request = request.header("if-match", etag);
    gateway
        .send(request.body(full(price.to_owned())).unwrap())
        .await
}
