//! The route table as text.

use super::Config;

/// A line for each route in the order of the file, under the heads METHODS, HOST, PATH and PACKAGE.
pub fn table(config: &Config) -> String {
    let mut rows = vec![["METHODS", "HOST", "PATH", "PACKAGE"].map(str::to_owned)];
    rows.extend(config.routes.iter().map(|route| {
        let methods = route.methods().map(|methods| {
            let names: Vec<&str> = methods.iter().map(http::Method::as_str).collect();
            names.join(",")
        });
        let package = config.packages.get(route.package());
        [
            methods.unwrap_or_else(|| "*".to_owned()),
            route
                .host()
                .map_or_else(|| "*".to_owned(), ToString::to_string),
            route.path().to_string(),
            package.map_or_else(String::new, |package| package.name.to_string()),
        ]
    }));
    let width = |column: fn(&[String; 4]) -> &String| {
        rows.iter()
            .map(|row| column(row).chars().count())
            .max()
            .unwrap_or(0)
    };
    let (methods, host, path) = (
        width(|[m, ..]| m),
        width(|[_, h, ..]| h),
        width(|[_, _, p, _]| p),
    );
    let lines = rows
        .iter()
        .map(|[m, h, p, package]| format!("{m:methods$}  {h:host$}  {p:path$}  {package}\n"));
    lines.collect()
}
