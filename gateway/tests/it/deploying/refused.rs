//! What no cluster would take, or should not see.

use std::{
    fs,
    process::Output,
    time::{Duration, Instant},
};

use serde_json::json;

use super::project::{COMPONENT, KEEPS, PLAIN, Project, USAGE, spec, toml};
use crate::harness::run;

#[test]
fn a_file_of_this_machine_is_refused_with_its_package_and_the_ways_out() {
    let words = [
        "wasmgate.toml:3:",
        "package hello",
        "wasmgate push",
        "--image",
    ];
    Project::new(KEEPS).refused("", &words);
    let local = PLAIN.replace("registry.example.com", "localhost:5000");
    Project::new(&local).refused("", &["package hello", "registry on this machine"]);
}

#[test]
fn no_secret_is_in_what_is_rendered() {
    let keeps = format!("{KEEPS}env = {{ API_TOKEN = \"${{API_TOKEN}}\", LEVEL = \"${{LEVEL:-info}}\" }}\n");
    let project = Project::new(&keeps);
    project.write("secrets.env", "API_TOKEN=hunter2\nLEVEL=hunter3\n");
    project.refused(
        "--image shop --env-file secrets.env",
        &["API_TOKEN", "--env-from"],
    );
    let text = project.text("--image shop --env-file secrets.env --env-from shop-secrets --pull-secret registry");
    assert!(!text.contains("hunter"), "{text}");
    assert!(text.contains("${API_TOKEN}"));
    let objects = project.render("--image shop --env-file secrets.env --env-from shop-secrets --pull-secret registry");
    let pod = spec(&objects, "StatefulSet");
    assert_eq!(
        pod["containers"][0]["envFrom"],
        json!([{"secretRef": {"name": "shop-secrets"}}])
    );
    assert_eq!(pod["imagePullSecrets"], json!([{"name": "registry"}]));

    let literal = format!("{KEEPS}env = {{ API_TOKEN = \"hunter2\" }}\n");
    Project::new(&literal).refused(
        "--image shop",
        &["package.hello.env.API_TOKEN", "${API_TOKEN}"],
    );
    let project = Project::new(KEEPS);
    let item = "[{name: httpsToken, value: hunter2}]";
    project.write("components/a.yaml", &COMPONENT.replace("[]", item));
    project.refused("--image shop", &["a.yaml", "httpsToken", "envRef"]);
    for (unreadable, word) in [
        ("[".repeat(100_000), "brackets"),
        (format!("{item}]"), "a.yaml"),
    ] {
        project.write("components/a.yaml", &COMPONENT.replace("[]", &unreadable));
        let start = Instant::now();
        project.refused("--image shop", &["a.yaml", word]);
        assert!(start.elapsed() < Duration::from_secs(25), "{word}");
    }
    let store = COMPONENT
        .replace("state.sqlite", "secretstores.local.file")
        .replace("[]", "[{name: secretsFile, value: secrets.json}]");
    project.write("components/a.yaml", &store);
    project.refused("--image shop", &["a.yaml", "spec.type", "--env-from"]);
}

#[test]
fn files_that_no_pod_has_are_refused_with_their_keys() {
    let key = "[registry.host.\"registry.example.com\"]\ncredentials = \"config.json\"\n";
    let project = Project::new(&format!("{key}{PLAIN}"));
    project.write("config.json", "{}");
    project.refused(
        "",
        &[
            "registry.host.registry.example.com.credentials",
            "--pull-secret",
        ],
    );
    let objects = project.render("--pull-secret registry");
    assert!(!objects["ConfigMap"].to_string().contains("credentials"));
    let mounts = &spec(&objects, "Deployment")["containers"][0]["volumeMounts"];
    assert!(mounts.to_string().contains("/etc/docker"), "{mounts}");
}

#[test]
fn folders_of_a_package_are_in_the_image_or_on_the_volume_or_refused() {
    let folders = "files = { \"/\" = \"assets\" }\nblobstore = { images = { folder = \"./uploads\" } }\n";
    let project = Project::new(&format!("{KEEPS}{folders}"));
    project.write("assets/index.html", "hello");
    let toml = toml(&project.render("--image shop"));
    let package = &toml["package"]["hello"];
    assert_eq!(package["files"]["/"].as_str(), Some("/app/assets"));
    let uploads = package["blobstore"]["images"]["folder"].as_str();
    assert_eq!(uploads, Some("/var/lib/wasmgate/folders/uploads"));

    let source = PLAIN.split("[[route]]").next().unwrap();
    let plain = Project::new(&format!("{source}{folders}"));
    plain.write("assets/index.html", "hello");
    let words = [
        "package.hello.files./",
        "--image",
        "package.hello.blobstore.images.folder",
        "gone with its pod",
    ];
    plain.refused("", &words);
    let outside = project_with_uploads_at("../uploads");
    outside.refused("--image shop", &["../uploads", "absolute path of a volume"]);
    project_with_uploads_at("/mnt/uploads").render("--image shop");

    let files = COMPONENT.replace("state.sqlite", "bindings.localstorage");
    let files = |root: &str| files.replace("[]", &format!("[{{name: rootPath, value: {root}}}]"));
    let project = Project::new(KEEPS);
    project.write("components/files.yaml", &files("files"));
    let words = ["spec.metadata.rootPath", "/var/lib/wasmgate"];
    project.refused("--image shop", &words);
}

fn project_with_uploads_at(folder: &str) -> Project {
    let uploads = format!("blobstore = {{ images = {{ folder = \"{folder}\" }} }}\n");
    Project::new(&format!("{KEEPS}{uploads}"))
}

#[test]
fn options_that_contradict_each_other_or_the_project_are_refused() {
    for (toml, options, words) in [
        (KEEPS, "--image shop --replicas 2", "there is one pod"),
        (KEEPS, "--image shop --max-replicas 4", "there is one pod"),
        (PLAIN, "--max-replicas 1", "--max-replicas is less"),
        (PLAIN, "--host shop.example.com", "--gateway NAME"),
        (
            PLAIN,
            "--gateway a --ingress-class b",
            "cannot be used with",
        ),
        (PLAIN, "--storage 2Gi", "these pods have none"),
        (PLAIN, "--storage-class fast", "these pods have none"),
        (
            PLAIN,
            "--access-mode ReadWriteOncePod",
            "these pods have none",
        ),
        (PLAIN, "--replicas 1 --max-replicas 4", "leaves nobody"),
        (PLAIN, "--in-flight 100", "--max-replicas"),
        (PLAIN, "--tls-secret shop", "--ingress-class"),
        (PLAIN, "--monitor-label a=b", "--service-monitor"),
        (PLAIN, "--helm chart --output k8s", "cannot be used with"),
        (PLAIN, "--replicas 0", "--replicas"),
        (
            PLAIN,
            "--pull-secret a --env DOCKER_CONFIG=/b",
            "leave one of them out",
        ),
    ] {
        Project::new(toml).refused(options, &[words]);
    }
}

#[test]
fn names_that_kubernetes_would_refuse_are_refused_by_name() {
    let project = Project::new(PLAIN);
    let long = "a".repeat(53);
    for (option, names) in [
        (
            "--name",
            vec![
                "Shop", "a_b", "-a", "a-", "a.b", "1shop", "on", "yes", &long,
            ],
        ),
        ("--pull-secret", vec!["Upper", "a..b", "a/b"]),
        ("--env-from", vec!["a b", "a_b"]),
        ("--ingress-class", vec!["UPPER"]),
        ("--gateway", vec!["a/b/c", "A/b", "/a"]),
        (
            "--image",
            vec!["Shop", "a:", "https://a/b", "a@sha256:12", "a:b:c", "/a"],
        ),
        ("--cache", vec!["512", "1G", "64Mi"]),
        (
            "--memory",
            vec!["1", "1G", "64Mi", "-1Gi", "1.5Gi", "99999999999999999999Ti"],
        ),
        ("--monitoring", vec!["a.b"]),
        ("--files", vec!["Shop", "a:"]),
        ("--storage-class", vec!["A"]),
        ("--env", vec!["A", "=b"]),
    ] {
        for name in names {
            let arguments = ["deploy", "--kubernetes", &format!("{option}={name}")];
            let Output { status, stderr, .. } = run(&project.folder(), &arguments);
            let told = String::from_utf8(stderr).unwrap();
            assert_eq!(status.code(), Some(USAGE), "{option} {name}: {told}");
            assert!(
                told.contains(option) && told.contains(name),
                "{option} {name}: {told}"
            );
        }
    }
    for host in [
        "https://a.example",
        "a.example:80",
        "A.example",
        "10.0.0.1",
        "*",
    ] {
        let options = format!("--ingress-class a --host {host}");
        project.refused(&options, &["--host", host]);
    }
    for name in ["1A", "a-b", "A.B"] {
        project.refused(&format!("--env {name}=b"), &["--env", name]);
    }
    // Only alone is such a word none.
    let objects = project.render("--ingress-class a --host shop.no --host *.example.com");
    let many: String = (0..17)
        .map(|at| format!(" --host h{at}.example.com"))
        .collect();
    project.refused(&format!("--gateway a{many}"), &["16 hosts at most"]);
    let twice = "--gateway a --host a.example.com --host a.example.com --env A=1 --env A=2";
    let once = project.render(twice);
    assert_eq!(
        once["HTTPRoute"]["spec"]["hostnames"],
        json!(["a.example.com"])
    );
    assert_eq!(
        spec(&once, "Deployment")["containers"][0]["env"],
        json!([{"name": "A", "value": "2"}])
    );
    let rules = &objects["Ingress"]["spec"]["rules"];
    assert_eq!(
        [&rules[0]["host"], &rules[1]["host"]],
        ["shop.no", "*.example.com"]
    );

    let folder = project.0.path().join("My Project");
    fs::rename(project.folder(), &folder).unwrap();
    let Output { stderr, .. } = run(&folder, &["deploy", "--kubernetes"]);
    let told = String::from_utf8(stderr).unwrap();
    assert!(
        told.contains("\"My Project\"") && told.contains("--name"),
        "{told}"
    );
}
