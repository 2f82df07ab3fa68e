//! Which blobs a reference needs to be served again while its registry does not answer.

use std::{collections::BTreeSet, fs};

use serde_json::Value;

use super::{image, manifest::MAX_MANIFEST, store::Store};
use crate::config::{Reference, Sha256Digest, parse_digest};

/// The maximum depth of manifests: an index, and what it references.
const MAX_DEPTH: usize = 2;

/// Blobs and records, as files of the store.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Needed {
    /// All files.
    pub(crate) files: BTreeSet<String>,
    /// The blobs, one of which is the component.
    pub(crate) blobs: BTreeSet<Sha256Digest>,
}

/// Everything that is stored of a reference and its signature.
pub(super) fn of(store: &Store, reference: &Reference, served: Option<Sha256Digest>) -> Needed {
    let mut needed = Needed::default();
    let seen = reference.digest().or_else(|| store.seen(reference));
    needed.tag(store, reference);
    for manifest in served.into_iter().chain(seen) {
        needed.blob(store, manifest, MAX_DEPTH);
        let signature = reference.tagged(&super::signature::tag(&manifest));
        if let Some(list) = store.seen(&signature) {
            needed.tag(store, &signature);
            needed.blob(store, list, 1);
        }
    }
    // Components of images, whose layers are not stored.
    for manifest in needed.blobs.clone() {
        let note = image::note(&reference.pinned(manifest));
        if let Some(component) = store.noted(&note) {
            needed.files.insert(store.name_of_note(&note));
            needed.blob(store, component, 0);
        }
    }
    needed
}

impl Needed {
    fn tag(&mut self, store: &Store, reference: &Reference) {
        self.files
            .insert(store.name_of_note(&reference.to_string()));
    }

    /// Adds a blob and, if it is a manifest, what it references.
    fn blob(&mut self, store: &Store, digest: Sha256Digest, depth: usize) {
        self.blobs.insert(digest);
        self.files.insert(store.name_of(&digest));
        let Some(depth) = depth.checked_sub(1) else {
            return;
        };
        let path = store.path(&digest);
        let is_small = path.metadata().is_ok_and(|file| file.len() <= MAX_MANIFEST);
        let manifest = is_small.then(|| fs::read(&path).ok()).flatten();
        let Some(Ok(manifest)) = manifest.map(|bytes| serde_json::from_slice::<Value>(&bytes)) else {
            return;
        };
        for key in ["config", "layers", "manifests"] {
            let named = match manifest.get(key) {
                Some(Value::Array(all)) => all.as_slice(),
                Some(one) => std::slice::from_ref(one),
                None => &[],
            };
            let digests = named
                .iter()
                .filter_map(|named| parse_digest(named.get("digest")?.as_str()?));
            digests.for_each(|digest| self.blob(store, digest, depth));
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use sha2::{Digest as _, Sha256};

    use super::*;
    use crate::config::show_digest;

    fn keep(store: &Store, bytes: &[u8]) -> Sha256Digest {
        let digest = Sha256::digest(bytes).into();
        store.keep(bytes, &digest).unwrap();
        digest
    }

    fn keep_json(store: &Store, value: &Value) -> Sha256Digest {
        keep(store, value.to_string().as_bytes())
    }

    #[test]
    fn a_tag_needs_its_index_its_manifest_its_component_and_its_signature() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::new(&folder.path().join("registry"));
        store.make().unwrap();
        let names = |digest: &Sha256Digest| json!({"digest": show_digest(digest)});
        let [component, config, document] = [&b"component"[..], b"{}", b"signed"].map(|bytes| keep(&store, bytes));
        let other = keep(&store, b"another component");
        let manifest = json!({"schemaVersion": 2, "config": names(&config), "layers": [names(&component)]});
        let manifest = keep_json(&store, &manifest);
        let index = keep_json(
            &store,
            &json!({"schemaVersion": 2, "manifests": [names(&manifest)]}),
        );
        let list = keep_json(
            &store,
            &json!({"schemaVersion": 2, "layers": [names(&document)]}),
        );
        let reference = Reference::parse("oci://registry.example.com/name:1").unwrap();
        let signature = reference.tagged(&super::super::signature::tag(&index));
        store.see(&reference, &index).unwrap();
        store.see(&signature, &list).unwrap();
        store.see(&reference.tagged("2"), &other).unwrap();
        // As an image's component is noted.
        let inner = keep(&store, b"in a layer");
        let note = image::note(&reference.pinned(manifest));
        store.note(&note, &inner).unwrap();

        let needed = of(&store, &reference, None);
        let blobs = BTreeSet::from([component, config, document, manifest, index, list, inner]);
        assert_eq!(needed.blobs, blobs);
        let tags = [&reference, &signature].map(|tag| store.name_of_note(&tag.to_string()));
        let tags = tags.into_iter().chain([store.name_of_note(&note)]);
        let files = blobs.iter().map(|digest| store.name_of(digest)).chain(tags);
        assert_eq!(needed.files, files.collect());
        assert!(
            needed
                .files
                .iter()
                .all(|file| folder.path().join(file).is_file())
        );
        // What is served stays as long as it is, though the tag has moved.
        store.see(&reference, &other).unwrap();
        assert!(
            of(&store, &reference, Some(index))
                .blobs
                .is_superset(&BTreeSet::from([component, other]))
        );
    }
}
