//! The coffee shop's page: static files, compiled in.

mod files;

use wasmgate_sdk::{Request, Response, Router, serve};

use crate::files::{FILES, File};

/// The page's policy: it loads only what comes with it, and the shop's own API. No script or style in
/// the page itself, no frame around it.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; \
                      connect-src 'self'; form-action 'self'; base-uri 'none'; \
                      frame-ancestors 'none'";

/// The file that is the page itself.
const PAGE: &str = "/index.html";

/// Every file at its path; the page itself also at `/`.
pub fn app() -> Router {
    FILES.iter().fold(Router::new(), |router, file| {
        let router = router.get(file.path, |request: Request| serve_file(&request, file));
        match file.path {
            PAGE => router.get("/", |request: Request| serve_file(&request, file)),
            _ => router,
        }
    })
}

serve!(app);

fn serve_file(request: &Request, file: &File) -> Response {
    let response = match is_known(request, file) {
        true => Response::new(304),
        false => Response::bytes(file.bytes).with_header("content-type", file.content_type()),
    };
    response
        .with_header("etag", file.etag())
        .with_header("cache-control", file.cache_control())
        .with_header("content-security-policy", POLICY)
        .with_header("referrer-policy", "no-referrer")
        .with_header("x-content-type-options", "nosniff")
}

/// Returns whether the client has the file as it is (RFC 9110, 13.1.2).
fn is_known(request: &Request, file: &File) -> bool {
    let known = request.header("if-none-match").unwrap_or_default();
    let etag = file.etag();
    let mut known = known.split(',').map(str::trim);
    known.any(|known| known == "*" || known.trim_start_matches("W/") == etag)
}

#[cfg(test)]
mod tests;
