use super::*;

fn stamped(pairs: &[(&str, &str)]) -> HeaderMap {
    stamped_by(pairs, true)
}

fn stamped_by(pairs: &[(&str, &str)], is_trusted: bool) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in pairs {
        headers.append(
            HeaderName::try_from(*name).unwrap(),
            HeaderValue::try_from(*value).unwrap(),
        );
    }
    let id = RequestId::from_headers(&headers);
    let peer = Peer::from(IpAddr::from([10, 0, 0, 9])).trusted(is_trusted.then(|| Arc::from([])));
    stamp(&mut headers, &id, &peer, None);
    headers
}

#[test]
fn cookies_that_come_one_by_one_are_one_field() {
    let headers = stamped(&[("cookie", "a=1"), ("cookie", "b=2; c=3"), ("cookie", "d=4")]);
    let cookies: Vec<_> = headers.get_all("cookie").iter().collect();
    assert_eq!(cookies, ["a=1; b=2; c=3; d=4"]);
    assert_eq!(stamped(&[("cookie", "a=1")])["cookie"], "a=1");
    assert!(!stamped(&[]).contains_key("cookie"));
}

#[test]
fn a_name_that_differs_from_ours_by_an_underscore_does_not_pass_even_from_a_trusted_proxy() {
    let said = [
        "x_forwarded_for",
        "x-forwarded_for",
        "x_forwarded_proto",
        "x_real_ip",
        "x_request_id",
        "dapr_caller_app_id",
        "dapr-caller_app-id",
        "wasmgate_depth",
    ];
    for is_trusted in [false, true] {
        let pairs: Vec<_> = said.map(|name| (name, "forged")).to_vec();
        let headers = stamped_by(&pairs, is_trusted);
        let forged = headers.iter().find(|(_, value)| *value == "forged");
        assert_eq!(forged, None);
    }
    assert_eq!(stamped(&[("x_forward", "1")])["x_forward"], "1");
    assert_eq!(stamped(&[("my_header", "1")])["my_header"], "1");
}

#[test]
fn a_sane_request_id_is_kept_and_another_is_replaced() {
    assert_eq!(
        stamped(&[("x-request-id", "abc-1")])["x-request-id"],
        "abc-1"
    );
    for bad in ["", "has space", &"x".repeat(129)] {
        let headers = stamped(&[("x-request-id", bad)]);
        assert_ne!(headers["x-request-id"], *bad);
        assert_eq!(headers["x-request-id"].len(), 36);
    }
}

#[test]
fn the_scheme_is_what_the_connection_or_a_trusted_proxy_says() {
    for (said, is_trusted, is_right) in [
        ("https", true, true),
        ("HTTPS, http", true, true),
        ("http, https", true, false),
        ("https", false, false),
    ] {
        let headers = stamped_by(&[("x-forwarded-proto", said)], is_trusted);
        assert_eq!(is_https(&headers), is_right, "{said}, {is_trusted}");
    }
    let mut headers = HeaderMap::new();
    let id = RequestId::fresh();
    let peer = Peer::from(IpAddr::from([10, 0, 0, 9])).secured(true);
    stamp(&mut headers, &id, &peer, None);
    assert!(is_https(&headers));
    assert_eq!(headers["x-forwarded-proto"], "https");
}

#[test]
fn the_peer_is_appended_to_the_hops_before_it() {
    assert_eq!(stamped(&[])["x-forwarded-for"], "10.0.0.9");
    let headers = stamped(&[
        ("x-forwarded-for", "1.1.1.1"),
        ("x-forwarded-for", "2.2.2.2"),
    ]);
    assert_eq!(headers["x-forwarded-for"], "1.1.1.1, 2.2.2.2, 10.0.0.9");
}

#[test]
fn what_anybody_says_of_where_a_request_comes_from_is_replaced() {
    let said = [
        ("host", "shop.example.com"),
        ("forwarded", "for=1.1.1.1;proto=https"),
        ("x-forwarded-for", "1.1.1.1"),
        ("x-forwarded-proto", "https"),
        ("x-forwarded-host", "evil.example.com"),
        ("x-forwarded-port", "443"),
        ("x-real-ip", "1.1.1.1"),
    ];
    let headers = stamped_by(&said, false);
    assert_eq!(headers["x-forwarded-for"], "10.0.0.9");
    assert_eq!(headers["x-forwarded-proto"], "http");
    assert_eq!(headers["x-forwarded-host"], "shop.example.com");
    for name in ["forwarded", "x-forwarded-port", "x-real-ip"] {
        assert!(!headers.contains_key(name), "{name}");
    }
    let headers = stamped_by(&said, true);
    assert_eq!(headers["x-forwarded-for"], "1.1.1.1, 10.0.0.9");
    assert_eq!(headers["x-forwarded-proto"], "https");
    assert!(headers.contains_key("forwarded"));
}

#[test]
fn a_prefix_of_the_clients_own_making_is_removed() {
    assert!(!stamped(&[("x-forwarded-prefix", "/admin")]).contains_key("x-forwarded-prefix"));
}

#[test]
fn the_client_is_the_last_hop_that_is_no_trusted_proxy() {
    let proxies: Arc<[IpNet]> = Arc::from(["10.0.0.0/8".parse().unwrap()]);
    let client = |from: &str, hops: &[&str]| {
        let from: IpAddr = from.parse().unwrap();
        let is_proxy = proxies.iter().any(|range| range.contains(&from));
        let peer = Peer::from(from).trusted(is_proxy.then(|| Arc::clone(&proxies)));
        let values = hops
            .iter()
            .map(|hops| (FORWARDED_FOR, HeaderValue::try_from(*hops).unwrap()));
        peer.client(&values.collect()).to_string()
    };
    assert_eq!(
        client("203.0.113.5", &["1.1.1.1"]),
        "203.0.113.5",
        "anybody can say so"
    );
    assert_eq!(
        client("10.0.0.9", &["1.1.1.1, 2.2.2.2", "3.3.3.3, 10.1.1.1"]),
        "3.3.3.3"
    );
    assert_eq!(client("10.0.0.9", &["10.0.0.7"]), "10.0.0.7");
    assert_eq!(client("10.0.0.9", &["1.1.1.1, junk, 10.0.0.7"]), "10.0.0.7");
    assert_eq!(client("10.0.0.9", &["[2001:db8::1]:443"]), "2001:db8::1");
    assert_eq!(client("10.0.0.9", &[""]), "10.0.0.9");
}
