//! Charts, and folders with a file for each object.

use std::{fs, process::Output};

use serde_json::Value;

use super::project::{KEEPS, PLAIN, Project, USAGE, documents};
use crate::harness::run;

const CANNOT_CREATE: i32 = 73;

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
