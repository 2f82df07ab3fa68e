//! The coffee shop's page: static files, compiled in.

use wasmgate_sdk::{Answer, Next, Request, Router, files, serve};

/// The page's policy: it loads only what comes with it, and the shop's own API. No script or style in
/// the page itself, no frame around it.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; \
                      connect-src 'self'; form-action 'self'; base-uri 'none'; \
                      frame-ancestors 'none'";

/// Every file at its path; the page itself also at `/`.
pub fn app() -> Router {
    Router::new().files("/", files!("static")).layer(told)
}

serve!(app);

/// What browsers are told of the files. Pictures may be shown for a day without asking; page, style and script belong
/// together and are asked for each time, which costs a 304.
fn told(request: Request, next: Next) -> Answer {
    let is_picture = request.path().starts_with("/img/");
    next.run(request).map(move |response| {
        let response = match is_picture && response.status().as_u16() < 400 {
            true => response.with_header("cache-control", "public, max-age=86400"),
            false => response,
        };
        response
            .with_header("content-security-policy", POLICY)
            .with_header("referrer-policy", "no-referrer")
    })
}

#[cfg(test)]
mod tests;
