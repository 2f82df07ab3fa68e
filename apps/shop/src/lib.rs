//! The coffee shop's page: static files, compiled in.

mod files;

use wasmgate_sdk::{Error, Request, Response, Router, serve};

use crate::files::{File, find};

/// What the page may load: only what comes with it, and the shop's own API. No script or style in
/// the page itself, no frame around it.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; \
                      connect-src 'self'; form-action 'self'; base-uri 'none'; \
                      frame-ancestors 'none'";

/// Every file at its path; the page itself at `/`.
pub fn app() -> Router {
    Router::new().get("/{*path}", file)
}

serve!(app);

fn file(request: Request) -> Result<Response, Error> {
    let path = request.path().trim_start_matches('/');
    let path = if path.is_empty() { "index.html" } else { path };
    let file = find(path).ok_or_else(|| Error::not_found("the shop has no such page"))?;
    let response = match is_known(&request, file) {
        true => Response::new(304),
        false => Response::bytes(file.bytes).with_header("content-type", file.content_type()),
    };
    Ok(response
        .with_header("etag", file.etag())
        .with_header("cache-control", file.cache_control())
        .with_header("content-security-policy", POLICY)
        .with_header("referrer-policy", "no-referrer")
        .with_header("x-content-type-options", "nosniff"))
}

/// Whether the client has the file as it is (RFC 9110, 13.1.2).
fn is_known(request: &Request, file: &File) -> bool {
    let known = request.header("if-none-match").unwrap_or_default();
    let etag = file.etag();
    let mut known = known.split(',').map(str::trim);
    known.any(|known| known == "*" || known.trim_start_matches("W/") == etag)
}

#[cfg(test)]
mod tests;
