//! Grants that stand for nothing: most often a name with a slip of the pen.

use wasmgate_dapr::{Dapr, Settings};

use crate::config::Config;

/// A sentence for each grant of an embedded component, or of an app to invoke, that is not there.
pub(super) fn unmet(config: &Config, settings: &Settings) -> Vec<String> {
    let names = config.packages.iter().map(|package| package.name.as_str());
    let apps: Vec<_> = names.chain([config.dapr.app_id.as_str()]).collect();
    let mut found = Vec::new();
    for package in config
        .packages
        .iter()
        .filter(|package| !package.grants.is_none())
    {
        let components = Dapr::components(settings, package.name.app_id());
        for (key, glob, grants) in package.grants.singly() {
            let sees = |(kind, name): &(String, String)| grants.sees_component(kind, name);
            let invokes = |app: &&str| grants.allows_invoke(app);
            if !components.iter().any(sees) && !apps.iter().any(invokes) {
                found.push(describe(package.name.as_str(), key, glob.as_str()));
            }
        }
    }
    found
}

fn describe(package: &str, key: &str, name: &str) -> String {
    let what = match key {
        "invoke" => "no package has this name",
        _ => "no component that it may use has this name",
    };
    format!("package {package}: {key} = [{name:?}] in its `dapr` opens nothing: {what}")
}
