//! The routes that answer requests.

use http::Method;

use super::*;

/// `[METHODS] [HOST]/PATH`, such as `GET,POST shop.example.com/c/{id}`.
fn route(text: &str) -> Route {
    let (methods, place) = text
        .rsplit_once(' ')
        .map_or((None, text), |(m, p)| (Some(m), p));
    let (host, path) = place.split_at(place.find('/').unwrap());
    let methods = methods.map(|m| m.split(',').map(|m| m.parse().unwrap()).collect());
    let host = (!host.is_empty()).then(|| HostPattern::parse(host).unwrap());
    Route::new(PathPattern::parse(path).unwrap(), host, methods, 0, None)
}

fn table(routes: &[&str]) -> RouteTable {
    let routes: Vec<Route> = routes.iter().map(|text| route(text)).collect();
    assert_eq!(collisions(&routes), []);
    RouteTable::new(routes)
}

/// The pattern of the route that answers, or `404`, or `405` and the methods that are taken.
fn ask(table: &RouteTable, method: &str, host: Option<&str>, path: &str) -> String {
    match table.find(host, &CleanPath::new(path), &method.parse().unwrap()) {
        Ok(found) => {
            assert_eq!(table.routes()[found.index].pattern(), found.route.pattern());
            found.route.pattern().to_owned()
        }
        Err(NoMatch::NoRoute) => "404".to_owned(),
        Err(NoMatch::MethodNotAllowed { allow }) => format!("405 {}", allow.to_str().unwrap()),
    }
}

fn get(table: &RouteTable, path: &str) -> String {
    ask(table, "GET", None, path)
}

#[test]
fn static_comes_before_param_comes_before_wildcard_whatever_the_order_in_the_file() {
    let mut patterns = ["/a/b", "/a/{x}", "/a/{*r}", "/{x}/b", "/{x}/{y}", "/{*r}"];
    for _ in 0..2 {
        let table = table(&patterns);
        for (path, answer) in [
            ("/a/b", "/a/b"),
            ("/a/c", "/a/{x}"),
            ("/a/b/c", "/a/{*r}"),
            ("/a", "/a/{*r}"),
            ("/z/b", "/{x}/b"),
            ("/z/z", "/{x}/{y}"),
            ("/z", "/{*r}"),
            ("/", "/{*r}"),
        ] {
            assert_eq!(get(&table, path), answer, "{path}");
        }
        patterns.reverse();
    }
}

#[test]
fn a_look_up_goes_back_when_the_more_specific_way_ends_nowhere() {
    let table = table(&["/a/b/c", "/a/{x}/d", "/{x}/b/e", "/{x}/{*r}"]);
    assert_eq!(get(&table, "/a/b/c"), "/a/b/c");
    assert_eq!(get(&table, "/a/b/d"), "/a/{x}/d");
    assert_eq!(get(&table, "/a/b/e"), "/{x}/b/e");
    assert_eq!(get(&table, "/a/b/f"), "/{x}/{*r}");
}

#[test]
fn a_wildcard_takes_any_number_of_segments_and_none() {
    let table = table(&["/c/{*rest}"]);
    for path in ["/c", "/c/", "/c/a", "/c/a/b/", "/c//a"] {
        assert_eq!(get(&table, path), "/c/{*rest}", "{path}");
    }
    for path in ["/", "/ca", "/d/c"] {
        assert_eq!(get(&table, path), "404", "{path}");
    }
}

#[test]
fn a_param_takes_one_segment_that_is_not_empty() {
    let table = table(&["/c/{id}", "/c/{id}/x"]);
    for path in ["/c", "/c/", "/c//", "/c/a/", "/c/a/b", "/c//x"] {
        assert_eq!(get(&table, path), "404", "{path}");
    }
    assert_eq!(get(&table, "/c/a%2Fb"), "/c/{id}");
}

#[test]
fn a_trailing_slash_makes_another_path() {
    let slash = table(&["/a/"]);
    assert_eq!(
        (get(&slash, "/a/").as_str(), get(&slash, "/a").as_str()),
        ("/a/", "404")
    );
    let both = table(&["/a/", "/a", "/"]);
    for path in ["/a", "/a/", "/"] {
        assert_eq!(get(&both, path), path);
    }
    assert_eq!(get(&both, "//"), "404");
}

#[test]
fn a_detour_by_dot_segments_does_not_dodge_a_more_specific_route() {
    let table = table(&["/admin/{*r}", "/{*r}"]);
    for path in [
        "/x/../admin/a",
        "/x/%2e%2E/admin",
        "/./admin",
        "/%61dmin/",
        "/../admin",
        "/x/y/../../admin/.",
        "/x//../../admin",
    ] {
        assert_eq!(get(&table, path), "/admin/{*r}", "{path}");
    }
    assert_eq!(get(&table, "/x/..%2Fadmin"), "/{*r}");
}

#[test]
fn percent_encoding_that_means_the_same_matches() {
    let table = table(&["/café/~a", "/a|b", "/x%2fy", "/%7Bz%7D"]);
    for (path, answer) in [
        ("/caf%C3%A9/%7ea", "/café/~a"),
        ("/caf%c3%a9/~a", "/café/~a"),
        ("/café/~a", "/café/~a"),
        ("/a%7cb", "/a|b"),
        ("/x%2Fy", "/x%2fy"),
        ("/x/y", "404"),
        ("/%7bz%7d", "/%7Bz%7D"),
        ("/{z}", "/%7Bz%7D"),
    ] {
        assert_eq!(get(&table, path), answer, "{path}");
    }
}

#[test]
fn exact_host_comes_before_suffix_comes_before_none() {
    let table = table(&[
        "/{*r}",
        "*.example.com/{*r}",
        "*.b.example.com/{*r}",
        "a.b.example.com/{*r}",
    ]);
    for (host, answer) in [
        ("a.b.example.com", "a.b.example.com/{*r}"),
        ("A.B.Example.COM:8080", "a.b.example.com/{*r}"),
        ("a.b.example.com.", "a.b.example.com/{*r}"),
        ("c.b.example.com", "*.b.example.com/{*r}"),
        ("x.a.b.example.com", "*.b.example.com/{*r}"),
        ("b.example.com", "*.example.com/{*r}"),
        ("example.com", "/{*r}"),
        (".example.com", "/{*r}"),
        ("badexample.com", "/{*r}"),
        ("", "/{*r}"),
        (":80", "/{*r}"),
        ("é.example.com", "*.example.com/{*r}"),
    ] {
        assert_eq!(ask(&table, "GET", Some(host), "/p"), answer, "{host}");
    }
    assert_eq!(ask(&table, "GET", None, "/p"), "/{*r}");
    assert_eq!(ask(&table, "GET", Some(&"a.".repeat(400)), "/p"), "/{*r}");
}

#[test]
fn a_host_that_has_not_the_path_gives_way_to_one_that_has() {
    let table = table(&["h.example/a", "*.example/b", "/c"]);
    for path in ["/a", "/b", "/c"] {
        assert!(ask(&table, "GET", Some("h.example"), path).ends_with(path));
    }
}

#[test]
fn an_ipv6_host_is_compared_without_its_port() {
    let table = table(&["[2001:db8::1]/"]);
    for host in ["[2001:db8::1]", "[2001:DB8::1]:80"] {
        assert_eq!(ask(&table, "GET", Some(host), "/"), "[2001:db8::1]/");
    }
    assert_eq!(ask(&table, "GET", Some("[2001:db8::2]"), "/"), "404");
}

#[test]
fn head_falls_to_get_unless_a_route_names_it() {
    let get_only = table(&["GET /a"]);
    assert_eq!(ask(&get_only, "HEAD", None, "/a"), "/a");
    let both = table(&["GET /a", "HEAD /a"]);
    let found = both
        .find(None, &CleanPath::new("/a"), &Method::HEAD)
        .unwrap();
    assert_eq!(found.index, 1);
    assert_eq!(
        both.find(None, &CleanPath::new("/a"), &Method::GET)
            .unwrap()
            .index,
        0
    );
}

#[test]
fn the_allowed_methods_are_those_of_every_route_with_the_path() {
    let table = table(&["GET /a/b", "PUT /a/{x}", "DELETE h.example/a/b", "POST /c"]);
    assert_eq!(ask(&table, "POST", None, "/a/b"), "405 GET, HEAD, PUT");
    assert_eq!(
        ask(&table, "POST", Some("h.example"), "/a/b"),
        "405 DELETE, GET, HEAD, PUT"
    );
    assert_eq!(ask(&table, "OPTIONS", None, "/c"), "405 POST");
    assert_eq!(ask(&table, "POST", None, "/d"), "404");
}

#[test]
fn a_less_specific_route_takes_the_methods_that_a_more_specific_one_leaves() {
    let table = table(&["GET /a/b", "/a/{x}"]);
    assert_eq!(ask(&table, "GET", None, "/a/b"), "/a/b");
    assert_eq!(ask(&table, "POST", None, "/a/b"), "/a/{x}");
    assert_eq!(ask(&table, "PURGE", None, "/a/b"), "/a/{x}");
}

#[test]
fn targets_that_are_no_path_match_nothing() {
    let table = table(&["/{*r}"]);
    for path in ["", "*", "a", "..", "%2e"] {
        assert_eq!(get(&table, path), "404", "{path}");
    }
}

#[test]
fn what_answers_the_same_requests_collides() {
    for (a, b) in [
        ("/a", "/a"),
        ("/a/{x}", "/a/{y}"),
        ("/{*x}", "/{*y}"),
        ("GET /a", "/a"),
        ("/a", "GET /a"),
        ("GET,PUT /a", "POST,PUT /a"),
        ("h.example/a", "H.Example/a"),
        ("/%61", "/a"),
    ] {
        let found = collisions(&[route("/other"), route(a), route(b)]);
        assert_eq!(found.len(), 1, "{a} {b}");
        assert_eq!((found[0].first, found[0].second), (1, 2));
    }
}

#[test]
fn what_differs_in_host_shape_or_methods_does_not_collide() {
    table(&[
        "/a",
        "/a/",
        "/{a}",
        "/{*a}",
        "h.example/a",
        "*.h.example/a",
        "/a/{x}",
        "/a/{x}/",
        "GET /b",
        "HEAD,PUT /b",
    ]);
}

#[test]
fn of_a_collision_the_method_is_named() {
    let found = collisions(&[route("GET,PUT /a"), route("POST,PUT /a"), route("/a")]);
    assert_eq!(found[0].method, Some(Method::PUT));
    assert_eq!((found[1].first, found[1].second), (0, 2));
}

#[test]
fn a_bad_path_pattern_is_refused() {
    let long = format!("/{}", "a".repeat(9000));
    let deep = "/a".repeat(65);
    for text in [
        "",
        "a",
        "{x}",
        "//",
        "/a//b",
        "/a//",
        "/..",
        "/a/../b",
        "/./a",
        "/%2e%2e/a",
        "/{}",
        "/{*}",
        "/{*r}/a",
        "/{*r}/",
        "/{a",
        "/a}",
        "/{a}}",
        "/{{a}}",
        "/x{a}",
        "/{a}x",
        "/{a}{b}",
        "/{a}/{a}",
        "/{a}/{*a}",
        "/{a b}",
        "/{**a}",
        "/a?b",
        "/a#b",
        "/a\nb",
        &long,
        &deep,
    ] {
        let refused = PathPattern::parse(text).unwrap_err();
        assert!(!refused.message.is_empty() && !refused.help.is_empty());
    }
}

#[test]
fn a_bad_host_pattern_is_refused() {
    let label = format!("{}.example", "a".repeat(64));
    let long = "a.".repeat(127) + "a";
    for text in [
        "",
        ".",
        "*",
        "*.",
        "a..b",
        ".a",
        "a.",
        "a*.b",
        "*.*.a",
        "a.*.b",
        "**.a",
        "h:80",
        "http://h",
        "h/p",
        "a b",
        "é.example",
        "-a.b",
        "a-.b",
        "1.2.3",
        "1.2.3.4.5",
        "256.1.1.1",
        "*.1",
        "[::1",
        "[1.2.3.4]",
        "[::1]:80",
        "::1",
        &label,
        &long,
    ] {
        assert!(HostPattern::parse(text).is_err(), "{text}");
    }
    for text in [
        "localhost",
        "a-b.example",
        "xn--caf-dma.example",
        "_x.example",
        "192.0.2.1",
        "[::1]",
        "*.a",
    ] {
        assert_eq!(HostPattern::parse(text).unwrap().to_string(), text);
    }
}

#[test]
fn a_clean_path_is_the_same_when_cleaned_again() {
    for raw in [
        "/",
        "/a",
        "/a/",
        "//",
        "/a//b",
        "/.",
        "/..",
        "/./",
        "/../",
        "/a/.",
        "/a/..",
        "/a/../",
        "/a/b/..",
        "/.a/..b/...",
        "/%",
        "/%2",
        "/%zz",
        "/%252e",
        "/%2e%2e%2f",
        "/a;b=c,d",
        "/a:b@c",
        "/\"<>\\^`|",
        "/é",
        "/a\0b",
        "/%%36%31",
        "/%%2e%%32e",
        "/%C3%28",
        "/%e9",
    ] {
        let clean = CleanPath::new(raw);
        assert_eq!(
            CleanPath::new(clean.as_str()).as_str(),
            clean.as_str(),
            "{raw}"
        );
        assert!(
            clean.as_str().starts_with('/') && clean.as_str().is_ascii(),
            "{raw}"
        );
    }
}

#[test]
fn dot_segments_are_resolved_as_in_rfc_3986() {
    for (raw, clean) in [
        ("/a/b/c/./../../g", "/a/g"),
        ("/mid/content=5/../6", "/mid/6"),
        ("/a/..", "/"),
        ("/a/b/..", "/a/"),
        ("/a/b/.", "/a/b/"),
        ("/../../g", "/g"),
        ("/g.", "/g."),
        ("/..g", "/..g"),
        ("/./g/.", "/g/"),
        ("/a//../b", "/a/b"),
        ("/a/%2E./b", "/b"),
        ("/a/%252e%252e/b", "/a/%252e%252e/b"),
    ] {
        assert_eq!(CleanPath::new(raw).as_str(), clean, "{raw}");
    }
}

#[test]
fn a_plain_path_is_borrowed() {
    for raw in ["/", "/a/b.c/~d", "/a//b/", "/a;b=c,d:e@f", "*", ""] {
        assert!(!CleanPath::new(raw).changed(), "{raw}");
    }
    assert!(CleanPath::new("/%61").changed());
}

#[test]
fn stripping_takes_whole_segments_off_the_front() {
    let pattern = PathPattern::parse("/c/{*rest}").unwrap();
    let prefix = pattern.strips("/c").unwrap();
    let route = Route::new(pattern, None, None, 0, Some(prefix));
    for (path, left, prefix) in [
        ("/c/v1/x", "/v1/x", "/c"),
        ("/c", "/", "/c"),
        ("/c/", "/", "/c"),
        ("/%63//x", "//x", "/c"),
        ("/cx", "/cx", ""),
    ] {
        assert_eq!(route.strip(&CleanPath::new(path)), (left, prefix), "{path}");
    }
    assert_eq!(self::route("/a").strip(&CleanPath::new("/a")), ("/a", ""));
}

#[test]
fn ten_thousand_routes_answer_each_its_own_requests() {
    let patterns: Vec<String> = (0..10_000)
        .map(|i| format!("/api/v{}/item{i}/{{id}}", i % 10))
        .collect();
    let texts: Vec<&str> = patterns.iter().map(String::as_str).collect();
    let table = table(&texts);
    for (i, pattern) in patterns.iter().enumerate() {
        assert_eq!(
            get(&table, &format!("/api/v{}/item{i}/x", i % 10)),
            *pattern
        );
    }
}
