//! `wasmgate deploy --kubernetes`: what it renders is what deploy/ has, holds no secret, and is refused where no
//! cluster would take it.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::harness::run;

const USAGE: i32 = 64;
const CANNOT_CREATE: i32 = 73;

/// A package of a registry that uses no building block.
const PLAIN: &str = r#"
[package.hello]
source = "oci://registry.example.com/team/hello:1"

[[route]]
path = "/hello"
package = "hello"
"#;

/// A package that a build makes, and that keeps state.
const KEEPS: &str = r#"
[package.hello]
source = "target/hello.wasm"
build = { command = "false" }
dapr = { state = ["statestore"] }
"#;

struct Project(TempDir);

impl Project {
    fn new(toml: &str) -> Self {
        let project = Self(TempDir::new().unwrap());
        fs::create_dir(project.folder()).unwrap();
        project.write("wasmgate.toml", toml);
        project
    }

    fn folder(&self) -> PathBuf {
        self.0.path().join("wasmgate")
    }

    fn write(&self, file: &str, text: &str) {
        let path = self.folder().join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn run(&self, options: &str) -> Output {
        let mut arguments = vec!["deploy"];
        if !options.contains("--helm") {
            arguments.push("--kubernetes");
        }
        arguments.extend(options.split_whitespace());
        run(&self.folder(), &arguments)
    }

    #[track_caller]
    fn text(&self, options: &str) -> String {
        let Output {
            status,
            stdout,
            stderr,
        } = self.run(options);
        assert!(
            status.success(),
            "{options}: {}",
            String::from_utf8_lossy(&stderr)
        );
        String::from_utf8(stdout).unwrap()
    }

    /// The objects by their kinds; the ConfigMap of component files as `Components`.
    #[track_caller]
    fn render(&self, options: &str) -> BTreeMap<String, Value> {
        let objects = documents(&self.text(options)).into_iter().map(|object| {
            let is_components = object["metadata"]["name"] == "wasmgate-components";
            let kind = if is_components {
                &json!("Components")
            } else {
                &object["kind"]
            };
            (kind.as_str().unwrap().to_owned(), object.clone())
        });
        objects.collect()
    }

    #[track_caller]
    fn refused(&self, options: &str, words: &[&str]) {
        let Output {
            status,
            stdout,
            stderr,
        } = self.run(options);
        let told = String::from_utf8(stderr).unwrap();
        assert_eq!(status.code(), Some(USAGE), "{options}: {told}");
        assert!(stdout.is_empty(), "{options}");
        for words in words {
            assert!(told.contains(words), "{options}: no {words:?} in {told}");
        }
    }
}

fn documents(text: &str) -> Vec<Value> {
    let documents = serde_norway::Deserializer::from_str(text);
    let documents = documents.map(|document| serde::Deserialize::deserialize(document).unwrap());
    documents.collect()
}

/// What a pod reads.
fn toml(objects: &BTreeMap<String, Value>) -> toml::Table {
    let text = objects["ConfigMap"]["data"]["wasmgate.toml"].as_str();
    text.unwrap().parse().unwrap()
}

fn spec<'o>(objects: &'o BTreeMap<String, Value>, kind: &str) -> &'o Value {
    &objects[kind]["spec"]["template"]["spec"]
}

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn shipped_text(file: &str) -> String {
    fs::read_to_string(repository().join("deploy").join(file)).unwrap()
}

/// The one object of a file in deploy/.
fn shipped(file: &str) -> Value {
    let [object] = documents(&shipped_text(file)).try_into().unwrap();
    object
}

/// An object without the labels that kustomize puts into those of deploy/.
fn without_labels(object: &Value) -> Value {
    let mut object = object.clone();
    let kind = object["kind"].as_str().unwrap().to_owned();
    object["metadata"].as_object_mut().unwrap().remove("labels");
    if ["StatefulSet", "Deployment"].contains(&kind.as_str()) {
        object["spec"].as_object_mut().unwrap().remove("selector");
        let template = object["spec"]["template"]["metadata"].as_object_mut();
        template.unwrap().remove("labels");
    }
    if kind == "Service" {
        object["spec"].as_object_mut().unwrap().remove("selector");
    }
    object
}

const COMPONENT: &str = "apiVersion: dapr.io/v1alpha1\nkind: Component\nmetadata: {name: statestore}\n\
                         spec: {type: state.sqlite, version: v1, metadata: []}\n";

/// The files below a folder by their names, with their texts.
fn texts(folder: &Path) -> BTreeMap<String, String> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap());
    let texts = entries.map(|entry| {
        let name = entry.file_name().into_string().unwrap();
        (name, fs::read_to_string(entry.path()).unwrap())
    });
    texts.collect()
}

#[test]
fn base_and_overlay_are_what_is_rendered_of_the_coffee_shop() {
    let place = TempDir::new().unwrap();
    let rendering = Command::new(repository().join("deploy/render"))
        .arg(place.path())
        .env("WASMGATE_BIN", env!("CARGO_BIN_EXE_wasmgate"))
        .env_remove("DAPR_HTTP_PORT")
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&rendering.stderr);
    assert!(rendering.status.success(), "{told}");
    for folder in ["base", "overlays/dapr"] {
        let [rendered, shipped] = [place.path(), &repository().join("deploy")].map(|root| {
            let folder = root.join(folder).join("rendered");
            texts(&folder)
        });
        assert_eq!(
            rendered, shipped,
            "deploy/{folder}/rendered is another: run `make rendered`"
        );
        let kustomization = shipped_text(&format!("{folder}/kustomization.yaml"));
        for file in rendered.keys() {
            assert!(
                kustomization.contains(&format!("- rendered/{file}\n")),
                "{file}"
            );
        }
    }
}

#[test]
fn a_rendering_explains_its_lines_and_takes_no_text_of_the_project_for_one() {
    let project = Project::new(PLAIN);
    let message = "  lifecycle: mine\nresources: mine\n        lifecycle: mine";
    let arguments = [
        "deploy",
        "--kubernetes",
        "--env",
        &format!("LEVEL={message}"),
    ];
    let Output { stdout, .. } = run(&project.folder(), &arguments);
    let text = String::from_utf8(stdout).unwrap();
    for (comment, line) in [
        ("# No pod has data", "apiVersion: apps/v1"),
        (
            "        # From SIGTERM on the gateway takes no connection.",
            "        lifecycle:",
        ),
        ("        # No limit on the CPU", "        resources:"),
    ] {
        let (_, after) = text.split_once(comment).unwrap();
        let mut next = after.lines().skip(1);
        let next = next.find(|line| !line.trim_start().starts_with('#'));
        assert_eq!(next, Some(line), "{comment}");
        assert!(!after.contains(comment), "{comment} stands there twice");
    }
    let deployment = documents(&text)
        .into_iter()
        .find(|object| object["kind"] == "Deployment");
    let container = &deployment.unwrap()["spec"]["template"]["spec"]["containers"][0];
    assert_eq!(container["env"][0]["value"], json!(message));
    assert!(text.lines().all(|line| line.chars().count() <= 120));
}

#[test]
fn the_shipped_way_in_by_a_gateway_is_what_is_rendered() {
    let objects = Project::new(PLAIN).render("--gateway gateway --host wasmgate.example.com");
    assert_eq!(
        without_labels(&objects["HTTPRoute"]),
        shipped("httproute/httproute.yaml")
    );
}

#[test]
fn an_autoscaler_is_that_of_deploy_and_has_the_number_of_pods_to_itself() {
    let objects = Project::new(PLAIN).render("--max-replicas 10");
    assert_eq!(
        without_labels(&objects["HorizontalPodAutoscaler"]),
        shipped("autoscaling/autoscaler.yaml")
    );
    assert!(objects["Deployment"]["spec"].get("replicas").is_none());
}

#[test]
fn an_autoscaler_counts_requests_in_flight_as_deploy_does_if_it_is_asked_to() {
    let objects = Project::new(PLAIN).render("--max-replicas 10 --in-flight 250");
    let metrics = &objects["HorizontalPodAutoscaler"]["spec"]["metrics"];
    let component = shipped("autoscaling-in-flight/kustomization.yaml");
    let patch = component["patches"][0]["patch"].as_str().unwrap();
    let [patch] = documents(patch).try_into().unwrap();
    assert_eq!(metrics.as_array().unwrap().len(), 2);
    assert_eq!(metrics[1], patch[0]["value"]);
    let adapter = shipped("autoscaling-in-flight/adapter.yaml");
    let served = &adapter["rules"]["custom"][0]["name"]["as"];
    assert_eq!(&metrics[1]["pods"]["metric"]["name"], served);
}

#[test]
fn what_prometheus_operator_reads_is_what_deploy_says() {
    let text = Project::new(PLAIN).text("--service-monitor");
    for file in ["metrics", "servicemonitor", "rules"] {
        let right = shipped(&format!("monitoring/{file}.yaml"));
        let found = documents(&text)
            .into_iter()
            .find(|object| object["kind"] == right["kind"] && object["metadata"]["name"] == right["metadata"]["name"]);
        let mut found = found.unwrap();
        if file != "metrics" {
            found["metadata"].as_object_mut().unwrap().remove("labels");
        }
        assert_eq!(found, right, "{file}");
    }
    let labels = "--service-monitor --monitor-label release=on --monitor-label a.example/b=";
    let labelled = Project::new(PLAIN).render(labels);
    for kind in ["ServiceMonitor", "PrometheusRule"] {
        let labels = &labelled[kind]["metadata"]["labels"];
        let right = json!({"app.kubernetes.io/name": "wasmgate", "release": "on", "a.example/b": ""});
        assert_eq!(labels, &right, "{kind}");
    }
}

#[test]
fn a_volume_of_the_projects_files_stands_in_for_an_image_of_it() {
    let project = Project::new(KEEPS);
    let objects = project.render("--files registry.example.com/team/shop-files:1");
    let pod = spec(&objects, "StatefulSet");
    let volumes = pod["volumes"].as_array().unwrap();
    let right = json!({
        "name": "files",
        "image": {"reference": "registry.example.com/team/shop-files:1", "pullPolicy": "IfNotPresent"},
    });
    assert!(volumes.contains(&right), "{volumes:?}");
    let mounts = pod["containers"][0]["volumeMounts"].as_array().unwrap();
    assert!(mounts.contains(&json!({"name": "files", "mountPath": "/app", "readOnly": true})));
    // The gateway's own image has no compiled code of the project's.
    assert!(pod.get("initContainers").is_none());
    let toml = toml(&objects);
    assert_eq!(
        toml["package"]["hello"]["source"].as_str(),
        Some("/app/target/hello.wasm")
    );
}

#[test]
fn a_class_of_volumes_and_a_certificate_are_named() {
    let project = Project::new(KEEPS);
    let options = "--image shop --storage-class fast --access-mode ReadWriteOncePod --ingress-class a --host shop.example.com --tls-secret shop";
    let objects = project.render(options);
    let claim = &objects["PersistentVolumeClaim"]["spec"];
    assert_eq!(claim["storageClassName"], "fast");
    assert_eq!(claim["accessModes"], json!(["ReadWriteOncePod"]));
    assert_eq!(
        objects["Ingress"]["spec"]["tls"],
        json!([{"hosts": ["shop.example.com"], "secretName": "shop"}])
    );
}

#[test]
fn words_that_readers_of_yaml_1_1_misread_are_text_to_them_too() {
    let words = [
        "on",
        "No",
        "Y",
        "1",
        "1_000",
        "1:30",
        "2026-11-29",
        ".5",
        "=",
        "<<",
        "a: b",
        "~",
    ];
    let options: String = words
        .iter()
        .enumerate()
        .map(|(at, word)| format!(" --env V{at}={}", word.replace(' ', "")))
        .collect();
    let text = Project::new(PLAIN).text(&options);
    for (at, word) in words.iter().enumerate() {
        let (_, rest) = text.split_once(&format!("name: V{at}\n")).unwrap();
        let line = rest.lines().next().unwrap().trim();
        let (_, value) = line.split_once("value: ").unwrap();
        assert!(
            value.starts_with(['\'', '"']) || word.contains(": "),
            "{word}: {line}"
        );
    }
}

#[test]
fn variables_that_are_given_are_not_asked_for_and_none_is_a_secret() {
    let project = Project::new(&format!("{KEEPS}env = {{ LEVEL = \"${{LEVEL}}\" }}\n"));
    project.write("here.env", "LEVEL=info\n");
    project.refused("--image shop --env-file here.env", &["LEVEL", "--env-from"]);
    let objects = project.render("--image shop --env LEVEL=info");
    assert_eq!(
        spec(&objects, "StatefulSet")["containers"][0]["env"],
        json!([{"name": "LEVEL", "value": "info"}])
    );
    project.refused(
        "--image shop --env LEVEL=info --env API_TOKEN=hunter2",
        &["API_TOKEN", "--env-from"],
    );
}

/// What Helm makes of it, `make test-deploy` compares with what is rendered without it.
#[test]
fn a_chart_says_what_its_project_says_and_takes_no_brace_of_it_for_its_own() {
    let project = Project::new(&format!(
        "{PLAIN}[package.hello.env]\nA = \"{{{{ .Values.image }}}}\"\n"
    ));
    project.text("--helm chart --service-monitor --replicas 3");
    let read = |file: &str| fs::read_to_string(project.folder().join("chart").join(file)).unwrap();
    let [about] = documents(&read("Chart.yaml")).try_into().unwrap();
    assert_eq!(about["name"], "wasmgate");
    let [values] = documents(&read("values.yaml")).try_into().unwrap();
    assert_eq!(values["replicas"], 3);
    assert_eq!(values["monitoring"]["enabled"], true);
    assert_eq!(
        values["packages"]["hello"]["source"],
        "oci://registry.example.com/team/hello:1"
    );
    let schema: Value = serde_json::from_str(&read("values.schema.json")).unwrap();
    assert_eq!(schema["additionalProperties"], false);
    let map = read("templates/configmap.yaml");
    assert!(
        map.contains("A = \"{{ \"{{\" }} .Values.image }}\""),
        "{map}"
    );
    assert!(
        map.contains("source = \"{{ (index .Values.packages \"hello\").source }}\""),
        "{map}"
    );
    let rules = read("templates/rules.yaml");
    assert!(rules.contains("{{ \"{{\" }} $labels.pod }}"), "{rules}");
}

#[test]
fn a_chart_takes_the_place_of_an_earlier_one_and_of_nothing_else() {
    let project = Project::new(KEEPS);
    project.text("--helm chart --image shop");
    let template = |file: &str| project.folder().join("chart/templates").join(file);
    assert!(template("statefulset.yaml").exists() && template("deployment.yaml").exists());
    project.write("wasmgate.toml", PLAIN);
    project.text("--helm chart");
    assert!(!template("statefulset.yaml").exists());
    fs::write(template("httproute.yaml"), "mine: true\n").unwrap();
    let Output { status, stderr, .. } = run(&project.folder(), &["deploy", "--helm", "chart"]);
    assert_eq!(status.code(), Some(CANNOT_CREATE));
    assert!(String::from_utf8_lossy(&stderr).contains("httproute.yaml is there already"));
}

#[test]
fn packages_without_building_blocks_need_neither_a_volume_nor_a_sidecar() {
    let objects = Project::new(PLAIN).render("--replicas 3");
    assert_eq!(objects["Deployment"]["spec"]["replicas"], 3);
    let kinds: Vec<&str> = objects.keys().map(String::as_str).collect();
    let right = [
        "ConfigMap",
        "Deployment",
        "NetworkPolicy",
        "PodDisruptionBudget",
        "Service",
        "ServiceAccount",
    ];
    assert_eq!(kinds, right);
    let annotations = &objects["Deployment"]["spec"]["template"]["metadata"]["annotations"];
    let names: Vec<&String> = annotations.as_object().unwrap().keys().collect();
    assert!(!names.iter().any(|name| name.starts_with("dapr.io/")));
    // Nothing is in the image that the cache could begin with.
    assert!(spec(&objects, "Deployment").get("initContainers").is_none());
    let package = &toml(&objects)["package"]["hello"];
    assert_eq!(
        package["source"].as_str(),
        Some("oci://registry.example.com/team/hello:1")
    );
}

#[test]
fn the_selectors_of_all_objects_find_the_pods_by_the_projects_name() {
    let objects = Project::new(PLAIN).render("--name shop-api");
    let label = json!({"app.kubernetes.io/name": "shop-api"});
    let deployment = &objects["Deployment"]["spec"];
    for found in [
        &deployment["selector"]["matchLabels"],
        &deployment["template"]["metadata"]["labels"],
        &deployment["template"]["spec"]["topologySpreadConstraints"][0]["labelSelector"]["matchLabels"],
        &objects["Service"]["spec"]["selector"],
        &objects["NetworkPolicy"]["spec"]["podSelector"]["matchLabels"],
        &objects["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"],
    ] {
        assert_eq!(found, &label);
    }
}

#[test]
fn grace_follows_the_drain_that_the_project_asks_for() {
    let project = Project::new(&format!("[server]\ndrain_timeout = \"90500ms\"\n{PLAIN}"));
    let grace = spec(&project.render(""), "Deployment")["terminationGracePeriodSeconds"].clone();
    assert_eq!(grace, 5 + 91 + 10);
}

#[test]
fn a_pod_builds_nothing_and_finds_its_packages_in_the_image() {
    let project = Project::new(KEEPS);
    project.write("more.toml", "[limits]\ntimeout = \"7s\"\n");
    let toml = toml(&project.render("--image registry.example.com/team/shop:1 --with more.toml"));
    let package = &toml["package"]["hello"];
    assert!(package.get("build").is_none());
    assert_eq!(package["source"].as_str(), Some("/app/target/hello.wasm"));
    assert_eq!(toml["limits"]["timeout"].as_str(), Some("7s"));
    let outside = Project::new(&KEEPS.replace("target/", "../target/"));
    outside.refused(
        "--image shop",
        &["package.hello.source", "outside of the project's folder"],
    );
}

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
        assert!(start.elapsed() < Duration::from_secs(10), "{word}");
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

#[test]
fn a_folder_has_a_file_for_each_object_and_nothing_of_an_earlier_rendering() {
    let project = Project::new(PLAIN);
    project.text("--output k8s --max-replicas 4");
    let folder = project.folder().join("k8s");
    let files = || {
        let files = fs::read_dir(&folder).unwrap();
        let mut names: Vec<String> = files
            .map(|file| file.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    };
    assert!(files().contains(&"autoscaler.yaml".to_owned()));
    fs::write(folder.join("mine.yaml"), "a: b\n").unwrap();
    project.text("--output k8s");
    let mut right = vec![
        "configmap.yaml",
        "deployment.yaml",
        "disruption.yaml",
        "mine.yaml",
        "networkpolicy.yaml",
        "service.yaml",
        "serviceaccount.yaml",
    ];
    right.sort_unstable();
    assert_eq!(files(), right);

    for form in ["--output", "--helm"] {
        let Output { status, stderr, .. } = project.run(&format!("{form} wasmgate.toml"));
        assert_eq!(status.code(), Some(CANNOT_CREATE));
        assert!(String::from_utf8_lossy(&stderr).contains("wasmgate.toml is no folder"));
    }
    let Output { status, stderr, .. } = run(&project.folder(), &["deploy"]);
    assert_eq!(status.code(), Some(USAGE));
    assert!(String::from_utf8_lossy(&stderr).contains("<--kubernetes|--helm <DIR>>"));

    fs::write(folder.join("ingress.yaml"), "mine: true\n").unwrap();
    let before = fs::read_to_string(folder.join("deployment.yaml")).unwrap();
    let Output { status, stderr, .. } = project.run("--output k8s --replicas 5");
    assert_eq!(status.code(), Some(CANNOT_CREATE));
    assert!(String::from_utf8_lossy(&stderr).contains("ingress.yaml is there already"));
    assert_eq!(
        fs::read_to_string(folder.join("deployment.yaml")).unwrap(),
        before
    );
}
