//! The macro of `wasmgate-sdk` that compiles a folder of files in; it is used from there.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use proc_macro::TokenStream;

/// Every file of a folder, which is named from the folder of the crate's `Cargo.toml`: a `&'static [File]` in the order
/// of the paths. Files and folders whose names begin with a dot are left out.
///
/// A file that changes is compiled in anew. One that is new is found when anything of the crate changes.
#[proc_macro]
pub fn files(input: TokenStream) -> TokenStream {
    let text = input.to_string();
    let named = text
        .trim()
        .strip_prefix('"')
        .and_then(|text| text.strip_suffix('"'));
    let written = match named {
        Some(folder) => list(folder),
        None => Err("write the folder as one text: files!(\"static\")".to_owned()),
    };
    let code = written.unwrap_or_else(|mistake| format!("::core::compile_error!({mistake:?})"));
    // What is written here is Rust.
    code.parse().unwrap_or_default()
}

fn list(folder: &str) -> Result<String, String> {
    let crate_folder = std::env::var_os("CARGO_MANIFEST_DIR").unwrap_or_default();
    let root = Path::new(&crate_folder).join(folder);
    let unread = |path: &Path, error: io::Error| format!("{}: {error}", path.display());
    let mut paths = Vec::new();
    collect(&root, &mut paths).map_err(|error| unread(&root, error))?;
    paths.sort();
    let mut code = String::from("{ const FILES: &[::wasmgate_sdk::files::File] = &[");
    for path in paths {
        let bytes = fs::read(&path).map_err(|error| unread(&path, error))?;
        let below = path.strip_prefix(&root).unwrap_or(&path);
        let name: Vec<_> = below.iter().map(|part| part.to_string_lossy()).collect();
        let (name, etag) = (name.join("/"), format!("\"{:016x}\"", hash(&bytes)));
        let source = path.display().to_string();
        code += &format!("::wasmgate_sdk::files::File::new({name:?}, ::core::include_bytes!({source:?}), {etag:?}),");
    }
    Ok(code + "]; FILES }")
}

fn collect(folder: &Path, paths: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with('.') {
            continue;
        }
        match fs::metadata(entry.path())?.is_dir() {
            true => collect(&entry.path(), paths)?,
            false => paths.push(entry.path()),
        }
    }
    Ok(())
}

/// FNV-1a, 64 bits: for entity tags, against nobody's intent.
fn hash(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}
