use std::{fs, path::Path};

use wasmgate_sdk::testing::{Reply, call};

use super::*;

fn get(path: &str) -> Reply {
    call(&app(), Request::get(path))
}

#[test]
fn the_page_is_at_the_root_with_a_strict_policy() {
    let page = get("/");
    assert_eq!(page.status(), 200);
    assert_eq!(
        page.header("content-type"),
        Some("text/html; charset=utf-8")
    );
    let policy = page.header("content-security-policy").unwrap();
    assert!(policy.contains("default-src 'none'") && !policy.contains("unsafe"));
    assert!(!page.text().contains("style=") && !page.text().contains("onclick"));
}

#[test]
fn every_file_of_the_folder_is_served_as_it_is() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("static");
    for file in ["", "img"]
        .iter()
        .flat_map(|sub| fs::read_dir(folder.join(sub)).unwrap())
    {
        let file = file.unwrap().path();
        if file.is_file() {
            let path = file.strip_prefix(&folder).unwrap().to_str().unwrap();
            let reply = get(&format!("/{path}"));
            assert_eq!(
                (reply.status().as_u16(), reply.bytes()),
                (200, &*fs::read(&file).unwrap()),
                "{path}"
            );
            assert_eq!(reply.header("x-content-type-options"), Some("nosniff"));
        }
    }
}

#[test]
fn a_file_that_the_client_has_is_not_sent_again() {
    let etag = get("/shop.css").header("etag").unwrap().to_owned();
    assert_ne!(Some(etag.as_str()), get("/shop.js").header("etag"));
    for known in [etag.clone(), format!("\"old\", W/{etag}"), "*".to_owned()] {
        let reply = call(
            &app(),
            Request::get("/shop.css").with_header("if-none-match", &known),
        );
        assert_eq!(
            (reply.status().as_u16(), reply.text()),
            (304, ""),
            "{known}"
        );
        assert_eq!(reply.header("etag"), Some(etag.as_str()));
    }
    let reply = call(
        &app(),
        Request::get("/shop.css").with_header("if-none-match", "\"old\""),
    );
    assert_eq!(reply.status(), 200);
}

#[test]
fn other_paths_are_not_found() {
    for path in [
        "/index.htm",
        "/img/",
        "/img/../index.html",
        "/.git",
        "/IMG/LATTE.svg",
    ] {
        assert_eq!(get(path).status(), 404, "{path}");
    }
    assert_eq!(call(&app(), Request::post("/")).status(), 405);
    assert_eq!(call(&app(), Request::post("/job/order-1")).status(), 404);
}
