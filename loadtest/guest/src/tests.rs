use serde_json::json;
use wasmgate_sdk::{
    Request,
    testing::{self, Reply, call},
};

use super::{MAX_BODY_BYTES, app};

fn ask(request: Request) -> Reply {
    call(&app(), request)
}

#[test]
fn the_document_is_about_a_kilobyte_of_json() {
    let reply = ask(Request::get("/json"));
    assert!(
        (900..1200).contains(&reply.text().len()),
        "{}",
        reply.text()
    );
    let value: serde_json::Value = serde_json::from_str(reply.text()).unwrap();
    assert_eq!(value["items"].as_array().map(Vec::len), Some(10));
}

#[test]
fn a_body_has_the_length_asked_for() {
    for bytes in [0, 1, 1024, MAX_BODY_BYTES] {
        let reply = ask(Request::get(format!("/body/{bytes}")));
        assert_eq!((reply.status().as_u16(), reply.text().len()), (200, bytes));
    }
    for refused in ["1048577", "-1", "many"] {
        let reply = ask(Request::get(format!("/body/{refused}")));
        assert_eq!(reply.status(), 404, "{refused}");
    }
}

#[test]
fn a_sent_body_is_counted() {
    let reply = ask(Request::post("/body").with_body(vec![b'x'; 65536]));
    assert_eq!((reply.status().as_u16(), reply.text()), (200, "65536"));
}

#[test]
fn what_is_put_is_what_is_read() {
    let dapr = testing::dapr();
    dapr.app("bench", app());
    assert_eq!(dapr.call("bench", Request::get("/state")).status(), 404);
    let put = Request::put("/state").with_json(&json!({"n": 7}));
    assert_eq!(dapr.call("bench", put).status(), 204);
    let read = dapr.call("bench", Request::get("/state"));
    assert_eq!((read.status().as_u16(), read.text()), (200, r#"{"n":7}"#));
}
