use wasmgate_sdk::{Request, testing::call};

#[test]
fn hello_greets() {
    let reply = call(&super::app(), Request::get("/hello"));
    assert_eq!(
        (reply.status().as_u16(), reply.text()),
        (200, "Hello from Wasmgate!\n")
    );
}

#[test]
fn other_paths_are_not_found() {
    assert_eq!(call(&super::app(), Request::get("/")).status(), 404);
}
