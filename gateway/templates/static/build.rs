//! Lists the files in `site/` for `src/lib.rs`.

use std::{
    collections::hash_map::DefaultHasher,
    env, fs,
    hash::{Hash as _, Hasher as _},
    io,
    path::{Path, PathBuf},
};

fn main() -> io::Result<()> {
    println!("cargo::rerun-if-changed=site");
    let site = Path::new(&env::var("CARGO_MANIFEST_DIR").unwrap_or_default()).join("site");
    let mut files = Vec::new();
    list(&site, &mut files)?;
    files.sort();
    let mut source = "static FILES: &[File] = &[\n".to_owned();
    for file in files {
        let path = file.strip_prefix(&site).unwrap_or(&file).to_string_lossy().replace('\\', "/");
        let mut hash = DefaultHasher::new();
        fs::read(&file)?.hash(&mut hash);
        source += &format!(
            "    File {{ path: {path:?}, content_type: {:?}, etag: \"\\\"{:016x}\\\"\", bytes: include_bytes!({file:?}) }},\n",
            content_type(&file),
            hash.finish(),
        );
    }
    source += "];\n";
    fs::write(Path::new(&env::var("OUT_DIR").unwrap_or_default()).join("site.rs"), source)
}

fn list(folder: &Path, files: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            list(&path, files)?;
        } else {
            files.push(path);
        }
    }
    Ok(())
}

fn content_type(file: &Path) -> &'static str {
    let ending = file.extension().unwrap_or_default().to_string_lossy().to_ascii_lowercase();
    match ending.as_str() {
        "html" | "htm" => "text/html; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "js" | "mjs" => "text/javascript; charset=utf-8",
        "txt" => "text/plain; charset=utf-8",
        "md" => "text/markdown; charset=utf-8",
        "json" | "map" => "application/json",
        "xml" => "application/xml",
        "webmanifest" => "application/manifest+json",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "jpg" | "jpeg" => "image/jpeg",
        "gif" => "image/gif",
        "webp" => "image/webp",
        "avif" => "image/avif",
        "ico" => "image/x-icon",
        "woff2" => "font/woff2",
        "woff" => "font/woff",
        "mp4" => "video/mp4",
        "webm" => "video/webm",
        "mp3" => "audio/mpeg",
        "pdf" => "application/pdf",
        "wasm" => "application/wasm",
        _ => "application/octet-stream",
    }
}
