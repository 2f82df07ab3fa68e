//! The files in `site/`, compiled in: `build.rs` lists them.

use wasmgate_sdk::{Error, Request, Response, Router, serve};

/// A file of the site.
struct File {
    path: &'static str,
    content_type: &'static str,
    /// Changes with the content (RFC 9110, 8.8.3).
    etag: &'static str,
    bytes: &'static [u8],
}

include!(concat!(env!("OUT_DIR"), "/site.rs"));

/// Every file at its path, and a folder's `index.html` at the folder.
pub fn app() -> Router {
    Router::new().get("/{*path}", show)
}

serve!(app);

fn show(request: Request) -> Result<Response, Error> {
    let path = request.param("path").unwrap_or_default();
    let folder = path.trim_end_matches('/');
    let index = match folder {
        "" => "index.html".to_owned(),
        folder => format!("{folder}/index.html"),
    };
    let file = FILES.iter().find(|file| file.path == path);
    let file = file.or_else(|| FILES.iter().find(|file| file.path == index));
    let file = file.ok_or_else(|| Error::not_found("there is no such page"))?;
    let known = request.header("if-none-match").unwrap_or_default();
    let response = if known.split(',').any(|known| known.trim() == file.etag) {
        Response::new(304)
    } else {
        Response::bytes(file.bytes).with_header("content-type", file.content_type)
    };
    Ok(response
        .with_header("etag", file.etag)
        .with_header("cache-control", "no-cache"))
}

#[cfg(test)]
mod tests;
