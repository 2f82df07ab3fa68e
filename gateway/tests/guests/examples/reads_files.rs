//! Does with files what `?do=` says of `?path=`, by the standard library, and answers what came of it.
#![cfg(target_arch = "wasm32")]

use std::{
    fs::{self, File, OpenOptions},
    io,
};

use wasip2::http::types::{IncomingRequest, ResponseOutparam};
use wasmgate_test_guests::{answer, number, query, serve};

serve!(handle);

fn handle(request: IncomingRequest, out: ResponseOutparam) {
    let path = query(&request, "path").unwrap_or_default();
    let done: io::Result<String> = match query(&request, "do").as_deref() {
        Some("read") => fs::read(&path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()),
        Some("list") => names(&path).map(|names| names.join(" ")),
        Some("write") => fs::write(&path, "changed").map(|()| "written".to_owned()),
        Some("append") => {
            let file = OpenOptions::new().append(true).open(&path);
            file.map(|_| "opened".to_owned())
        }
        Some("remove") => fs::remove_file(&path).map(|()| "removed".to_owned()),
        Some("make") => fs::create_dir(&path).map(|()| "made".to_owned()),
        Some("rename") => fs::rename(&path, format!("{path}.other")).map(|()| "renamed".to_owned()),
        Some("link") => fs::hard_link(&path, format!("{path}.other")).map(|()| "linked".to_owned()),
        Some("stat") => fs::metadata(&path).map(|found| found.len().to_string()),
        Some("open-many") => {
            let files: Vec<_> = (0..number(&request, "times"))
                .map_while(|_| File::open(&path).ok())
                .collect();
            Ok(files.len().to_string())
        }
        Some("stream-many") => {
            // More than the standard library does: many streams of one file.
            let folders = wasip2::filesystem::preopens::get_directories();
            let Some((folder, _)) = folders.first() else {
                std::process::abort()
            };
            let file = folder.open_at(
                wasip2::filesystem::types::PathFlags::empty(),
                path.trim_start_matches('/'),
                wasip2::filesystem::types::OpenFlags::empty(),
                wasip2::filesystem::types::DescriptorFlags::READ,
            );
            let streams: Vec<_> = (0..number(&request, "times"))
                .filter_map(|_| {
                    let stream = file.as_ref().ok()?.read_via_stream(0).ok()?;
                    let _ = stream.read(1 << 20);
                    Some(stream)
                })
                .collect();
            Ok(streams.len().to_string())
        }
        Some("open-in-turn") => {
            let opened = (0..number(&request, "times")).all(|_| File::open(&path).is_ok());
            Ok(opened.to_string())
        }
        _ => Ok(String::new()),
    };
    match done {
        Ok(text) => answer(out, 200, &text),
        Err(error) => answer(out, 404, &format!("{:?}", error.kind())),
    }
}

fn names(path: &str) -> io::Result<Vec<String>> {
    let mut names = fs::read_dir(path)?
        .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
        .collect::<io::Result<Vec<_>>>()?;
    names.sort();
    Ok(names)
}
