//! Bodies as they come: to a program's standard input, and from its standard output.

use bytes::Bytes;
use http_body::Frame;
use http_body_util::BodyExt as _;

use super::{BOTH, assert_unharmed, both};
use crate::harness::{channel, full, within};

const MIB: usize = 1 << 20;

#[tokio::test]
async fn a_body_comes_back_while_it_is_being_sent() {
    let gateway = both("", "").start();
    for name in BOTH {
        let (sender, body) = channel();
        let request = gateway.request("POST", &format!("/{name}/echo"));
        let response = gateway.start_request(request.body(body).unwrap()).await;
        let mut body = response.unwrap().into_body();
        for word in ["one", "two", "three"] {
            sender.send(Frame::data(Bytes::from(word))).await.unwrap();
            let frame = within("the word", body.frame()).await.unwrap().unwrap();
            assert_eq!(frame.into_data().unwrap(), word);
        }
        drop(sender);
        assert!(within("the end", body.frame()).await.is_none(), "{name}");
        assert_unharmed(&gateway).await;
    }
}

#[tokio::test]
async fn a_part_is_sent_while_the_program_waits() {
    let gateway = both("", "").start();
    for name in BOTH {
        let request = gateway.request("GET", &format!("/{name}/sleeps?2000"));
        let response = gateway.start_request(request.body(full("")).unwrap()).await;
        let mut body = response.unwrap().into_body();
        for word in ["before ", "after"] {
            let frame = within("the word", body.frame()).await.unwrap().unwrap();
            assert_eq!(frame.into_data().unwrap(), word);
        }
    }
}

#[tokio::test]
async fn large_bodies_pass_whole_in_both_directions() {
    let gateway = both("request_body = \"64MiB\"", "").start();
    let large: Vec<u8> = (0..16 * MIB).map(|at| (at % 251) as u8).collect();
    for name in BOTH {
        let reply = gateway.post(&format!("/{name}/echo"), large.clone()).await;
        assert!(reply.body == large, "{name}: {} bytes", reply.body.len());
        let reply = gateway.get(&format!("/{name}/zeros?64")).await;
        assert_eq!(reply.body.len(), 64 * MIB);
    }
    assert_unharmed(&gateway).await;
}

#[tokio::test]
async fn a_reader_that_waits_holds_the_program_back() {
    let gateway = both("timeout = \"60s\"", "").start();
    let before = gateway.resident_bytes();
    for name in BOTH {
        let request = gateway.request("GET", &format!("/{name}/zeros?500"));
        let response = gateway.start_request(request.body(full("")).unwrap()).await;
        let mut body = response.unwrap().into_body();
        let first = within("a part", body.frame()).await.unwrap().unwrap();
        assert!(first.is_data());
        // Others are served meanwhile, and it is still at it.
        assert_eq!(gateway.get("/hello").await.status, 200);
        gateway.wait_for_in_flight(name, 1).await;
        let grown = gateway.resident_bytes().saturating_sub(before);
        assert!(grown < 64 * MIB as u64, "{grown} bytes more");
        drop(body);
        gateway.wait_for_in_flight(name, 0).await;
    }
    assert_unharmed(&gateway).await;
}

#[tokio::test]
async fn a_body_that_nobody_reads_is_no_harm_and_one_that_is_too_long_is_refused() {
    let gateway = both("request_body = \"100KiB\"", "").start();
    for name in BOTH {
        let reply = gateway
            .post(&format!("/{name}/count"), vec![b'x'; 90 << 10])
            .await;
        assert_eq!(reply.text(), "1");
        let reply = gateway
            .post(&format!("/{name}/hears"), vec![b'x'; 90 << 10])
            .await;
        assert_eq!(reply.text(), "92160 bytes");
        gateway
            .post(&format!("/{name}/hears"), vec![b'x'; 200 << 10])
            .await
            .assert_error(413, "body-too-large");
        // Of which it is not said how long it is.
        let (sender, body) = channel();
        let sending = async move {
            for _ in 0..10 {
                let part = Frame::data(Bytes::from(vec![b'x'; 20 << 10]));
                if sender.send(part).await.is_err() {
                    break;
                }
            }
        };
        let request = gateway.request("POST", &format!("/{name}/hears"));
        let (reply, ()) = tokio::join!(gateway.send(request.body(body).unwrap()), sending);
        reply.assert_error(413, "body-too-large");
    }
    assert_unharmed(&gateway).await;
}

#[tokio::test]
async fn a_body_that_is_cut_ends_the_program() {
    let gateway = both("", "").start();
    for name in BOTH {
        let mut connection = gateway.raw().await;
        let head = format!("POST /{name}/hears HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\nabc");
        connection.send(head).await;
        gateway.wait_for_in_flight(name, 1).await;
        drop(connection);
        assert_unharmed(&gateway).await;
    }
}
