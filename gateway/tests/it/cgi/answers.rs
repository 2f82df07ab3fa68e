//! What a program prints, as a client gets it.

use super::{BOTH, assert_unharmed, both};
use crate::harness::{empty, eventually, until};

#[tokio::test]
async fn header_lines_and_a_body_are_a_response_with_its_length() {
    let gateway = both("", "").start();
    for name in BOTH {
        let reply = gateway.get_with_length(&format!("/{name}/lines?3")).await;
        assert_eq!(reply.text(), "line 0\nline 1\nline 2\n");
        assert_eq!(reply.header("content-type"), Some("text/plain"));
        assert_eq!(reply.header("content-length"), Some("21"));
        let reply = gateway.get(&format!("/{name}/status?404")).await;
        assert_eq!(reply.status, 404);
        assert!(reply.header("status").is_none());
        let reply = gateway.get(&format!("/{name}/fields")).await;
        let cookies: Vec<_> = reply.headers.get_all("set-cookie").iter().collect();
        assert_eq!(cookies, ["a=1", "b=2"]);
        assert!(reply.header("connection").is_none());
        assert_eq!(reply.body.len(), 0);
    }
}

#[tokio::test]
async fn a_location_redirects_the_client_and_none_redirects_the_gateway() {
    let gateway = both("", "").start();
    for name in BOTH {
        let reply = gateway
            .get(&format!("/{name}/redirect?https://example.com/x"))
            .await;
        assert_eq!(reply.status, 302);
        assert_eq!(reply.header("location"), Some("https://example.com/x"));
        let reply = gateway.get(&format!("/{name}/redirect?/hello")).await;
        reply.assert_error(502, "guest-bad-response");
    }
    until("words for it", || async {
        gateway
            .log()
            .contains("the local redirect \\\"/hello\\\", which is not done here")
    })
    .await;
}

#[tokio::test]
async fn head_has_the_head_of_get_and_204_and_304_have_no_content() {
    let gateway = both("", "").start();
    for name in BOTH {
        for (target, first, length) in [
            ("lines?3", "HTTP/1.1 200", Some("21")),
            ("status-alone?204", "HTTP/1.1 204", None),
            ("status-alone?304", "HTTP/1.1 304", None),
        ] {
            for method in ["HEAD", "GET"] {
                if method == "GET" && length.is_some() {
                    continue;
                }
                let request = format!("{method} /{name}/{target} HTTP/1.1\r\nhost: x\r\n\r\n");
                // There is no length where a busy machine lets others go first before the program has come to its end.
                let (mut connection, head) = eventually(
                    "a length",
                    async || {
                        let mut connection = gateway.raw().await;
                        connection.send(&request).await;
                        let head = connection.head().await;
                        (connection, head)
                    },
                    |(_, head)| length.is_none() || head.contains("content-length"),
                )
                .await;
                assert!(head.starts_with(first), "{target}: {head}");
                if let Some(length) = length {
                    let line = format!("content-length: {length}\r\n");
                    assert!(head.contains(&line), "{head}");
                }
                connection
                    .send("GET /hello HTTP/1.1\r\nhost: x\r\n\r\n")
                    .await;
                assert_eq!(connection.response().await.body, "Hello from a package\n");
            }
        }
        // It writes content where none may be, which is its own affair.
        let reply = gateway.get(&format!("/{name}/status?304")).await;
        assert_eq!((reply.status.as_u16(), reply.body.len()), (304, 0));
    }
    assert_unharmed(&gateway).await;
}

#[tokio::test]
async fn what_a_program_says_on_its_standard_error_is_in_the_log() {
    let gateway = both("", "").start();
    for name in BOTH {
        assert_eq!(
            gateway.get(&format!("/{name}/says?{name}")).await.text(),
            "said"
        );
        let message = format!("the program says {name}");
        let fields = [
            ("package", name),
            ("stream", "stderr"),
            ("message", &*message),
        ];
        gateway.wait_for_event(&fields).await;
    }
}

#[tokio::test]
async fn a_program_that_exits_with_another_code_than_0_has_failed() {
    let gateway = both("", "").start();
    for name in BOTH {
        let reply = gateway.get(&format!("/{name}/exits?0")).await;
        assert_eq!(reply.text(), "a whole answer");
        gateway
            .get(&format!("/{name}/exits?3"))
            .await
            .assert_error(502, "guest-no-response");
    }
    // WASI 0.2 knows success and failure, and no other codes.
    until("the code in the log", || async {
        gateway.log().contains("the guest exited with 1")
    })
    .await;
    assert_unharmed(&gateway).await;
}

#[tokio::test]
async fn programs_are_counted_and_shown_as_other_packages_are() {
    let gateway = both("", "").start();
    for name in BOTH {
        let request = gateway.request("GET", &format!("/{name}/count"));
        gateway.send(request.body(empty()).unwrap()).await;
    }
    let packages: serde_json::Value = serde_json::from_str(&gateway.admin_get("/packages").await.text()).unwrap();
    let metrics = gateway.metrics().await;
    for name in BOTH {
        let found = packages
            .as_array()
            .unwrap()
            .iter()
            .find(|package| package["name"] == name);
        assert_eq!(found.unwrap()["world"], "wasi:cli/command@0.2");
        let labels = [("package", name), ("status", "200")];
        assert_eq!(
            metrics.sum("wasmgate_requests_total", &labels),
            1.0,
            "{}",
            metrics.text()
        );
    }
}
