//! What a client may put into `if-match`, through a package with the SDK, down to the store.

use crate::harness::{TestGateway, full};

#[tokio::test]
async fn an_if_match_of_any_form_is_a_conflict_and_never_an_internal_error() {
    let gateway = TestGateway::builder()
        .guest_as(
            "till",
            "guards_a_price",
            r#"dapr = { state = ["statestore"] }"#,
        )
        .start();
    let send = async |method: &str, etag: &str, price: &str| {
        let request = gateway.request(method, "/till").header("if-match", etag);
        gateway
            .send(request.body(full(price.to_owned())).unwrap())
            .await
    };
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
            assert_eq!(reply.status, 409, "{method} {form:.40}");
        }
    }
    let shown = gateway.get("/till").await.is(200);
    assert_eq!(shown.text(), "3");
    let etag = shown.header("etag").unwrap().to_owned();
    send("PATCH", &etag, "6").await.is(204);
    send("PUT", &etag, "7").await.is(409);
    let etag = gateway
        .get("/till")
        .await
        .header("etag")
        .unwrap()
        .to_owned();
    send("DELETE", &etag, "").await.is(204);
    gateway.get("/till").await.is(404);
}
