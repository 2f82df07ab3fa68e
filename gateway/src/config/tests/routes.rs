//! Routes and the table of them.

use super::*;

#[test]
fn a_route_to_an_unknown_package_is_refused_with_the_nearest_one() {
    let text = with_route("path = \"/\"\npackage = \"helo\"");
    assert_eq!(mistake(&text), (5, 11, "route.package".to_owned()));
    assert!(help(&text).contains("\"hello\""));
}

#[test]
fn a_route_to_a_package_that_is_wrong_itself_is_no_mistake_of_its_own() {
    let text = "[package.hello]\nsource = \"absent\"\n[[route]]\npath = \"/\"\npackage = \"hello\"";
    assert_eq!(mistake(text).2, "package.hello.source");
}

#[test]
fn a_route_has_a_path_and_a_package() {
    assert_eq!(mistakes("[[route]]").len(), 2);
}

#[test]
fn a_method_is_known_in_upper_case_and_named_once() {
    for (methods, count) in [
        ("[]", 1),
        ("[\"get\"]", 1),
        ("[\"FETCH\"]", 1),
        ("[\"GET\", \"GET\"]", 1),
        ("[\"CONNECT\", \"\"]", 2),
    ] {
        let found = mistakes(&with_route(&format!(
            "path = \"/\"\npackage = \"hello\"\nmethods = {methods}"
        )));
        assert!(found.iter().all(|m| m.place.key == "route.methods"));
        assert_eq!(found.len(), count, "{methods}");
    }
}

#[test]
fn a_prefix_to_strip_is_what_the_path_begins_with() {
    for prefix in ["/d", "/c/{id}", "c", "/", "", "/c/", "/ca", "/c/v1/x"] {
        let text = with_route(&format!(
            "path = \"/c/v1/{{id}}\"\npackage = \"hello\"\nstrip_prefix = {prefix:?}"
        ));
        assert_eq!(mistake(&text).2, "route.strip_prefix", "{prefix}");
    }
    for prefix in ["/c", "/c/v1", "/%63"] {
        accepted(&with_route(&format!(
            "path = \"/c/v1/{{id}}\"\npackage = \"hello\"\nstrip_prefix = {prefix:?}"
        )));
    }
}

#[test]
fn routes_that_collide_are_refused_at_the_later_one() {
    let route = |keys: &str| format!("[[route]]\npackage = \"hello\"\n{keys}\n");
    let text = [
        HELLO,
        &route("path = \"/a/{x}\""),
        &route("path = \"/a/{y}\"\nmethods = [\"GET\"]"),
    ]
    .concat();
    assert_eq!(mistake(&text).0, 6);
}

#[test]
fn a_route_with_a_bad_host_does_not_seem_to_collide() {
    let bad = "[[route]]\npackage = \"hello\"\npath = \"/a\"\nhost = \"http://h\"\n";
    let text = format!("{}{bad}", with_route("path = \"/a\"\npackage = \"hello\""));
    assert_eq!(mistake(&text).2, "route.host");
}

#[test]
fn the_table_has_a_line_for_every_route() {
    let text = [
        &with_route("path = \"/a/{id}\"\npackage = \"hello\"\nmethods = [\"GET\", \"POST\"]"),
        "[[route]]\npath = \"/\"\nhost = \"h.example\"\npackage = \"hello\"",
    ];
    let table = table(&accepted(&text.concat()));
    let rows: Vec<Vec<&str>> = table
        .lines()
        .map(|line| line.split_whitespace().collect())
        .collect();
    assert_eq!(rows[0], ["METHODS", "HOST", "PATH", "PACKAGE"]);
    assert_eq!(rows[1], ["GET,POST", "*", "/a/{id}", "hello"]);
    assert_eq!(rows[2], ["*", "h.example", "/", "hello"]);
}

#[test]
fn the_wildcards_of_other_routers_are_answered_with_those_here() {
    for (path, meant) in [
        ("/orders/:id", "/orders/{id}"),
        ("/:user/:id", "/{user}/{id}"),
        ("/a/*", "/a/{*rest}"),
        ("/a/*path", "/a/{*path}"),
        ("/a/:path*", "/a/{*path}"),
        ("/a/...", "/a/{*rest}"),
        ("/a/<int:id>", "/a/{id}"),
        ("/a/[...slug]", "/a/{*slug}"),
        ("/a/[id]/b", "/a/{id}/b"),
    ] {
        let told = PathPattern::parse(path).unwrap_err().to_string();
        assert!(told.contains(&format!("did you mean {meant:?}")), "{told}");
    }
    for path in ["/v1/orders:cancel", "/a*b", "/%3Aid", "/a/{id}"] {
        assert!(PathPattern::parse(path).is_ok(), "{path}");
    }
}
