//! The CGI variables of a request (RFC 3875, 4.1), and those that WAGI and web servers add.

use std::net::{IpAddr, Ipv4Addr};

use http::{HeaderMap, HeaderName, HeaderValue, header, request::Parts, uri::Authority};
use percent_encoding::percent_decode_str;

use crate::{account::Account, egress, request_headers};

/// What a CGI program is told besides the request: its mount point and the client. A request extension.
#[derive(Debug, Clone)]
pub(crate) struct Mount {
    /// The static prefix of the route's path, such as `/cgi`.
    pub name: String,
    /// The route's path as configured.
    pub route: String,
    /// The address of the client.
    pub client: IpAddr,
}

/// A request that cannot be represented in variables.
#[derive(Debug, thiserror::Error)]
#[error("its path has a zero byte, which no variable can have")]
pub(in crate::instance) struct ZeroByte;

/// Fields with dedicated variables.
static OWN: [HeaderName; 2] = [header::CONTENT_LENGTH, header::CONTENT_TYPE];

/// The field whose variable (`HTTP_PROXY`) many libraries use as the proxy of their own requests.
const PROXY: &str = "proxy";

/// The variables of a request, except those that the package's configuration sets.
///
/// # Errors
/// When the path contains a zero byte.
pub(super) fn variables(parts: &Parts, account: &Account) -> Result<Vec<(String, String)>, ZeroByte> {
    let mut variables = of_request(parts)?;
    variables.extend(of_fields(&parts.headers));
    let own = &account.config.env;
    variables.retain(|(name, _)| !own.iter().any(|(known, _)| known == name));
    Ok(variables)
}

fn of_request(parts: &Parts) -> Result<Vec<(String, String)>, ZeroByte> {
    let (headers, mount) = (&parts.headers, parts.extensions.get::<Mount>());
    let prefix = headers.get(&request_headers::FORWARDED_PREFIX);
    let prefix = prefix.map(lossy).unwrap_or_default();
    let name = mount.map_or("", |mount| mount.name.as_str());
    let (path, query) = (parts.uri.path(), parts.uri.query().unwrap_or_default());
    // A stripped prefix is part of the mount point.
    let shown = name.strip_prefix(prefix.as_str()).unwrap_or(name);
    let info = path.strip_prefix(shown).unwrap_or(path);
    let mut target = format!("{prefix}{path}");
    if parts.uri.query().is_some() {
        target = format!("{target}?{query}");
    }
    let is_https = request_headers::is_https(headers);
    let scheme = if is_https { "https" } else { "http" };
    let authority = headers.get(header::HOST).map(lossy).unwrap_or_default();
    let (host, port) = server(&authority, is_https);
    let client = mount.map_or(IpAddr::V4(Ipv4Addr::LOCALHOST), |mount| mount.client);
    let client = client.to_canonical().to_string();
    let version = format!("{:?}", parts.version);
    let mut variables = vec![
        ("GATEWAY_INTERFACE", "CGI/1.1".to_owned()),
        ("PATH_INFO", decoded(info)?),
        ("QUERY_STRING", query.to_owned()),
        ("REMOTE_ADDR", client.clone()),
        ("REMOTE_HOST", client),
        ("REQUEST_METHOD", parts.method.to_string()),
        ("REQUEST_SCHEME", scheme.to_owned()),
        ("X_FULL_URL", format!("{scheme}://{authority}{target}")),
        ("REQUEST_URI", target),
        ("SCRIPT_NAME", decoded(name)?),
        ("SERVER_NAME", host),
        ("SERVER_PORT", port),
        ("SERVER_PROTOCOL", version),
        (
            "SERVER_SOFTWARE",
            concat!("wasmgate/", env!("CARGO_PKG_VERSION")).to_owned(),
        ),
        ("X_RAW_PATH_INFO", info.to_owned()),
    ];
    variables.extend(mount.map(|mount| ("X_MATCHED_ROUTE", mount.route.clone())));
    variables.extend(is_https.then(|| ("HTTPS", "on".to_owned())));
    for (name, field) in ["CONTENT_LENGTH", "CONTENT_TYPE"].into_iter().zip(&OWN) {
        variables.extend(headers.get(field).map(|value| (name, lossy(value))));
    }
    let owned = variables
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value));
    Ok(owned.collect())
}

/// The server's name and port, as in the client's request.
fn server(authority: &str, is_https: bool) -> (String, String) {
    let parsed = authority.parse::<Authority>().ok();
    let host = parsed
        .as_ref()
        .map_or(authority, Authority::host)
        .to_owned();
    let usual = if is_https { 443 } else { 80 };
    let port = parsed.and_then(|authority| authority.port_u16());
    (host, port.unwrap_or(usual).to_string())
}

/// A variable for each field. Names with characters other than letters, digits and hyphens are skipped: `x_user` would
/// be taken for `x-user`.
fn of_fields(headers: &HeaderMap) -> impl Iterator<Item = (String, String)> {
    let is_told = |name: &&HeaderName| {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
        let is_closed = egress::is_forbidden(name) && **name != header::HOST;
        name.as_str().bytes().all(plain) && !is_closed && !OWN.contains(name) && name.as_str() != PROXY
    };
    headers.keys().filter(is_told).map(|name| {
        let variable = name.as_str().replace('-', "_").to_ascii_uppercase();
        let between = if *name == header::COOKIE { "; " } else { ", " };
        let values: Vec<_> = headers.get_all(name).iter().map(lossy).collect();
        (format!("HTTP_{variable}"), values.join(between))
    })
}

fn lossy(value: &HeaderValue) -> String {
    String::from_utf8_lossy(value.as_bytes()).into_owned()
}

/// A path without its percent-encoding; invalid UTF-8 becomes replacement characters.
fn decoded(path: &str) -> Result<String, ZeroByte> {
    let path = percent_decode_str(path).decode_utf8_lossy().into_owned();
    if path.contains('\0') {
        return Err(ZeroByte);
    }
    Ok(path)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use http::Request;

    use super::*;
    use crate::config::CGI_VARIABLES;

    fn parts(uri: &str, name: &str, fields: &[(&str, &str)]) -> Parts {
        let mut request = Request::get(uri);
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        let (mut parts, ()) = request.body(()).unwrap().into_parts();
        parts.extensions.insert(Mount {
            name: name.to_owned(),
            route: format!("{name}/{{*rest}}"),
            client: IpAddr::from([203, 0, 113, 9]),
        });
        parts
    }

    fn told(parts: &Parts) -> BTreeMap<String, String> {
        of_request(parts)
            .unwrap()
            .into_iter()
            .chain(of_fields(&parts.headers))
            .collect()
    }

    #[test]
    fn the_path_is_taken_apart_where_the_program_is_mounted() {
        for (path, name, prefix, script, info) in [
            ("/cgi/a%20b/c", "/cgi", "", "/cgi", "/a b/c"),
            ("/a%2Fb", "/cgi", "/cgi", "/cgi", "/a/b"),
            ("/v1/x", "/cgi/v1", "/cgi", "/cgi/v1", "/x"),
            ("/cgi", "/cgi", "", "/cgi", ""),
            ("/anything", "", "", "", "/anything"),
        ] {
            let mut parts = parts(path, name, &[]);
            if !prefix.is_empty() {
                let prefix = HeaderValue::from_str(prefix).unwrap();
                parts
                    .headers
                    .insert(request_headers::FORWARDED_PREFIX, prefix);
            }
            let told = told(&parts);
            assert_eq!(told["SCRIPT_NAME"], script, "{path}");
            assert_eq!(told["PATH_INFO"], info, "{path}");
        }
    }

    #[test]
    fn fields_are_told_but_for_those_that_could_be_taken_for_others() {
        let fields = [
            ("x-user", "alice"),
            ("x_user", "mallory"),
            ("proxy", "http://evil.example"),
            ("proxy-authorization", "secret"),
            ("content-type", "text/plain"),
            ("content-length", "3"),
            ("cookie", "a=1"),
            ("cookie", "b=2"),
            ("accept", "text/html"),
            ("accept", "text/plain"),
            ("host", "shop.example:8080"),
            ("x-forwarded-proto", "https"),
        ];
        let told = told(&parts("/cgi?a=b+c", "/cgi", &fields));
        for (name, value) in [
            ("HTTP_X_USER", "alice"),
            ("CONTENT_TYPE", "text/plain"),
            ("CONTENT_LENGTH", "3"),
            ("HTTP_COOKIE", "a=1; b=2"),
            ("HTTP_ACCEPT", "text/html, text/plain"),
            ("HTTP_HOST", "shop.example:8080"),
            ("HTTPS", "on"),
            ("SERVER_NAME", "shop.example"),
            ("SERVER_PORT", "8080"),
            ("QUERY_STRING", "a=b+c"),
            ("REMOTE_ADDR", "203.0.113.9"),
            ("X_FULL_URL", "https://shop.example:8080/cgi?a=b+c"),
        ] {
            assert_eq!(told.get(name).map(String::as_str), Some(value), "{name}");
        }
        for name in [
            "HTTP_PROXY",
            "HTTP_PROXY_AUTHORIZATION",
            "HTTP_CONTENT_TYPE",
            "HTTP_CONTENT_LENGTH",
        ] {
            assert!(!told.contains_key(name), "{name}");
        }
    }

    #[test]
    fn no_package_can_set_what_is_told_of_a_request() {
        let fields = [
            ("content-type", "a/b"),
            ("content-length", "1"),
            ("x-forwarded-proto", "https"),
        ];
        let mut told: Vec<_> = of_request(&parts("/", "", &fields)).unwrap();
        told.sort();
        let names: Vec<_> = told.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, CGI_VARIABLES);
    }

    #[test]
    fn a_zero_byte_in_a_path_is_refused() {
        assert!(of_request(&parts("/cgi/a%00b", "/cgi", &[])).is_err());
    }
}
