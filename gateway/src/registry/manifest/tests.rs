use super::*;

const DIGEST: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

fn leads(manifest: serde_json::Value) -> Result<Leads, RegistryError> {
    let reference = Reference::parse("oci://registry.example.com/name:1").unwrap();
    Manifest::parse(manifest.to_string().as_bytes(), &reference)?.leads(&reference)
}

fn layer(media_type: &str, size: u64) -> serde_json::Value {
    serde_json::json!({"mediaType": media_type, "digest": DIGEST, "size": size})
}

fn entry(os: &str, architecture: &str, last: char) -> serde_json::Value {
    let digest = format!("{}{last}", &DIGEST[..DIGEST.len() - 1]);
    serde_json::json!({"mediaType": MANIFEST, "digest": digest, "size": 1,
        "platform": {"os": os, "architecture": architecture}})
}

#[test]
fn the_one_wasm_layer_is_the_component_whatever_is_beside_it() {
    for media_type in COMPONENT_LAYERS {
        let manifest = serde_json::json!({"schemaVersion": 2, "config": layer(WASM_CONFIG, 2),
            "layers": [layer("text/plain", 1), layer(media_type, 7)]});
        let Leads::Component(blob) = leads(manifest).unwrap() else {
            panic!("no component");
        };
        assert_eq!(blob.bytes, 7);
    }
}

#[test]
fn images_several_components_and_huge_ones_are_refused() {
    let tar = "application/vnd.oci.image.layer.v1.tar+gzip";
    for layers in [
        vec![],
        vec![layer(tar, 1)],
        vec![layer(WASM_LAYER, 1), layer(WASM_LAYER, 1)],
    ] {
        let manifest = serde_json::json!({"schemaVersion": 2, "config": layer("x", 2), "layers": layers});
        assert!(matches!(
            leads(manifest),
            Err(RegistryError::NotAComponent { .. })
        ));
    }
    let manifest = serde_json::json!({"schemaVersion": 2, "layers": [layer(WASM_LAYER, 600 << 20)]});
    assert!(matches!(
        leads(manifest),
        Err(RegistryError::TooLarge { .. })
    ));
    let both = serde_json::json!({"schemaVersion": 2, "layers": [layer(WASM_LAYER, 1)],
        "manifests": [entry("wasip2", "wasm", '0')]});
    assert!(leads(both).unwrap_err().to_string().contains("at once"));
    let manifest = serde_json::json!({"schemaVersion": 1, "layers": [layer(WASM_LAYER, 1)]});
    assert!(matches!(
        leads(manifest),
        Err(RegistryError::NotAComponent { .. })
    ));
}

#[test]
fn an_index_leads_to_what_is_for_wasm() {
    let index = |entries: Vec<serde_json::Value>| leads(serde_json::json!({"schemaVersion": 2, "manifests": entries}));
    let chosen = |last: char| {
        let digest = format!("{}{last}", &DIGEST[..DIGEST.len() - 1]);
        Leads::Manifest(parse_digest(&digest).unwrap())
    };
    let (linux, arm) = (entry("linux", "amd64", '0'), entry("linux", "arm64", '1'));
    let (old, new) = (entry("wasip1", "wasm", '2'), entry("wasip2", "wasm", '3'));
    assert_eq!(
        index(vec![linux.clone(), new.clone(), arm.clone()]).unwrap(),
        chosen('3')
    );
    assert_eq!(index(vec![old.clone(), new.clone()]).unwrap(), chosen('3'));
    assert_eq!(
        index(vec![old.clone(), linux.clone()]).unwrap(),
        chosen('2')
    );
    let error = index(vec![linux, arm]).unwrap_err().to_string();
    assert!(error.contains("linux/amd64, linux/arm64"), "{error}");
    assert!(index(vec![old.clone(), old]).is_err());
}
