//! Folders that packages write to: on the pod's volume, if it has one.

use std::path::{Component, Path};

use toml::{Table, Value};
use wasmgate_common::Code;

use super::{document, reading::Reading};

/// Where the volume has the project's own folders, beside the embedded building blocks' data.
const FOLDERS: &str = "/var/lib/wasmgate/folders";

impl Reading<'_> {
    /// Each folder of `wasi:blobstore` as the pod has it; the same one for all that name it.
    pub(super) fn folders(&mut self, document: &mut Table, has_volume: bool) {
        let path = ["package", "*", "blobstore", "*", "folder"];
        document::each(document, &path, "", &mut |table, key, name| {
            let Some(Value::String(text)) = table.get_mut(key) else {
                return;
            };
            if text.starts_with('/') {
                return;
            }
            let help = "write the absolute path of a volume that you add to the pods";
            if !has_volume {
                let message = format!("{text:?} would be gone with its pod, which keeps nothing");
                self.refuse(&name, Code::Unsupported, message, help);
                return;
            }
            let is_below = |part| matches!(part, Component::Normal(_) | Component::CurDir);
            if text.starts_with("${") || !Path::new(text.as_str()).components().all(is_below) {
                let message = format!("{text:?} is not known to be in the project's folder");
                let help = format!("name a folder below it, which the volume has in {FOLDERS}; or {help}");
                self.refuse(&name, Code::Unsupported, message, help);
                return;
            }
            *text = format!("{FOLDERS}/{}", text.strip_prefix("./").unwrap_or(text));
        });
    }
}
