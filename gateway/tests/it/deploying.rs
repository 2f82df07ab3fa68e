//! `wasmgate deploy --kubernetes`: what it renders is what deploy/ has, holds no secret, and is refused where no
//! cluster would take it.

mod output;
mod project;
mod refused;

use std::process::{Command, Output};

use serde_json::json;
use tempfile::TempDir;

use crate::harness::run;
use project::{KEEPS, PLAIN, Project, documents, repository, shipped, shipped_text, spec, texts, toml, without_labels};

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
