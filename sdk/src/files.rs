//! Static files, compiled in.

use crate::{Error, IntoAnswer, Method, Request, Response, Router, layer::conditional};

pub use wasmgate_sdk_macros::files;

/// A file that [`files!`](crate::files!) compiled in.
#[derive(Clone, Copy, Debug)]
pub struct File {
    path: &'static str,
    bytes: &'static [u8],
    etag: &'static str,
}

impl File {
    /// For the expansion of the macro.
    #[doc(hidden)]
    pub const fn new(path: &'static str, bytes: &'static [u8], etag: &'static str) -> Self {
        File { path, bytes, etag }
    }

    /// The path below the folder, such as `img/icon.svg`.
    pub fn path(&self) -> &'static str {
        self.path
    }

    /// The content.
    pub fn bytes(&self) -> &'static [u8] {
        self.bytes
    }

    /// The entity tag, in its quotes: it changes with the content.
    pub fn etag(&self) -> &'static str {
        self.etag
    }

    /// The content type, by the end of the name.
    pub fn content_type(&self) -> &'static str {
        match self.path.rsplit('.').next().unwrap_or_default() {
            "html" | "htm" => "text/html; charset=utf-8",
            "css" => "text/css; charset=utf-8",
            "js" | "mjs" => "text/javascript; charset=utf-8",
            "json" | "map" => "application/json",
            "webmanifest" => "application/manifest+json",
            "txt" => "text/plain; charset=utf-8",
            "md" => "text/markdown; charset=utf-8",
            "xml" => "application/xml",
            "svg" => "image/svg+xml",
            "png" => "image/png",
            "jpg" | "jpeg" => "image/jpeg",
            "gif" => "image/gif",
            "webp" => "image/webp",
            "avif" => "image/avif",
            "ico" => "image/vnd.microsoft.icon",
            "woff2" => "font/woff2",
            "woff" => "font/woff",
            "ttf" => "font/ttf",
            "wasm" => "application/wasm",
            "pdf" => "application/pdf",
            "mp4" => "video/mp4",
            "webm" => "video/webm",
            "mp3" => "audio/mpeg",
            _ => "application/octet-stream",
        }
    }

    /// The answer with this file to a request: 200, 206 for a range, 304 when the client has it. Browsers ask each time
    /// whether it is still the same, unless `cache-control` is set to something else.
    pub fn answer(&self, request: &Request) -> Response {
        let mut response = Response::bytes(self.bytes);
        response.set("content-type", self.content_type());
        response.set("etag", self.etag);
        response.set("cache-control", "no-cache");
        response.set("x-content-type-options", "nosniff");
        conditional::Asked::of(request).apply(response)
    }
}

/// Static files.
impl Router {
    /// Answers GET and HEAD with the files of a folder, `index.html` for the folder itself and those in it, with
    /// content types, entity tags and ranges. Other methods are refused where there is a file, with 405.
    ///
    /// ```
    /// use wasmgate_sdk::{Request, Router, files, testing};
    ///
    /// let app = Router::new().files("/", files!("src/layer"));
    /// let reply = testing::call(&app, Request::get("/mod.rs").with_header("range", "bytes=0-2"));
    /// assert_eq!((reply.status().as_u16(), reply.text()), (206, "//!"));
    /// assert_eq!(testing::call(&app, Request::get("/nothing")).status(), 404);
    /// ```
    pub fn files(self, prefix: &'static str, files: &'static [File]) -> Self {
        let below = Router::new().any("/{*file}", move |request: Request| {
            let asked = request
                .param("file")
                .map(|path| path.into_owned())
                .unwrap_or_default();
            let is_read = [Method::GET, Method::HEAD].contains(request.method());
            match find(files, &asked) {
                Some(file) if is_read => file.answer(&request).into_answer(),
                Some(_) => Error::new(405, "a file is only read")
                    .with_field("allow", "GET, HEAD".to_owned())
                    .into_answer(),
                None => Error::not_found("there is no such file").into_answer(),
            }
        });
        self.nest(prefix, below)
    }
}

fn find<'a>(files: &'a [File], asked: &str) -> Option<&'a File> {
    let folder = asked.strip_suffix('/').unwrap_or(asked);
    let is_index = |file: &File| {
        let rest = file.path.strip_suffix("index.html");
        rest.is_some_and(|rest| rest.strip_suffix('/').unwrap_or(rest) == folder)
    };
    let named = files.iter().find(|file| file.path == asked);
    named.or_else(|| files.iter().find(|file| is_index(file)))
}
