//! One look-up among 10 routes and among 10,000: the second must not be noticeably slower.
//!
//! `cargo bench -p wasmgate --bench routes`

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use http::Method;
use wasmgate::routes::{CleanPath, HostPattern, PathPattern, Route, RouteTable};

/// Kinds of look-up: the path asked for, with `{i}` for a route's number, and the host.
const REQUESTS: [(&str, &str, Option<&str>); 4] = [
    ("static", "/static/page{i}", None),
    ("param", "/api/v1/item{i}/4711/detail", None),
    ("wildcard", "/files/dir{i}/a/b/c.txt", None),
    ("host", "/", Some("shop{i}.example.com:443")),
];

fn look_up(criterion: &mut Criterion) {
    for (kind, path, host) in REQUESTS {
        let mut group = criterion.benchmark_group(kind);
        for count in [10, 10_000] {
            let table = table(count);
            // From the middle of the list, so that no order is favoured; four routes share a number.
            let number = (count / 8).to_string();
            let path = path.replace("{i}", &number);
            let host = host.map(|host| host.replace("{i}", &number));
            let asked = |path: &str| {
                table
                    .find(host.as_deref(), &CleanPath::new(path), &Method::GET)
                    .is_ok()
            };
            assert!(
                asked(&path),
                "the bench measures look-ups that find a route"
            );
            group.bench_function(format!("{count} routes"), |bencher| {
                bencher.iter(|| {
                    let path = CleanPath::new(black_box(&path));
                    table
                        .find(black_box(host.as_deref()), &path, &Method::GET)
                        .is_ok()
                });
            });
        }
        group.finish();
    }
}

/// A table of `count` routes, of each kind in turn.
fn table(count: usize) -> RouteTable {
    let routes = (0..count).map(|i| {
        let route = |path: String, host: Option<String>| {
            let host = host.and_then(|host| HostPattern::parse(&host).ok());
            let path = PathPattern::parse(&path).ok()?;
            Some(Route::new(path, host, Some(vec![Method::GET]), 0, None))
        };
        match i % 4 {
            0 => route(format!("/static/page{}", i / 4), None),
            1 => route(format!("/api/v1/item{}/{{id}}/detail", i / 4), None),
            2 => route(format!("/files/dir{}/{{*rest}}", i / 4), None),
            _ => route("/".to_owned(), Some(format!("shop{}.example.com", i / 4))),
        }
    });
    RouteTable::new(routes.flatten().collect())
}

criterion_group!(benches, look_up);
criterion_main!(benches);
