//! Grants that stand for nothing: most often a name with a slip of the pen.

use wasmgate_dapr::{AppId, Dapr, Globs, Grants, Settings};

use crate::config::{Config, GrantsConfig};

/// A key of a package's `dapr`, what it names, and where that belongs.
type Grant<'a> = (&'static str, &'a [String], fn(&mut Grants, Globs));

/// A sentence for each grant of an embedded component, or of an app to invoke, that is not there.
pub(super) fn unmet(config: &Config, settings: &Settings) -> Vec<String> {
    let names = config.packages.iter().map(|package| package.name.as_str());
    let apps: Vec<_> = names.chain([config.dapr.app_id.as_str()]).collect();
    let mut found = Vec::new();
    for package in &config.packages {
        let (Some(granted), Ok(app)) = (&package.dapr, AppId::new(package.name.as_str())) else {
            continue;
        };
        let components = Dapr::components(settings, &app);
        for (key, names, put) in of(granted) {
            for name in names {
                let mut grants = Grants::none();
                let Ok(globs) = Globs::new([name.as_str()]) else {
                    continue;
                };
                put(&mut grants, globs);
                let sees = |(kind, name): &(String, String)| grants.sees_component(kind, name);
                let invokes = |app: &&str| grants.allows_invoke(app);
                if !components.iter().any(sees) && !apps.iter().any(invokes) {
                    found.push(told(package.name.as_str(), key, name));
                }
            }
        }
    }
    found
}

fn told(package: &str, key: &str, name: &str) -> String {
    let what = match key {
        "invoke" => "no package has this name",
        _ => "no component that it may use has this name",
    };
    format!("package {package}: {key} = [{name:?}] in its `dapr` opens nothing: {what}")
}

fn of(granted: &GrantsConfig) -> [Grant<'_>; 8] {
    [
        ("state", &granted.state, |to, it| to.state = it),
        ("publish", &granted.publish, |to, it| to.publish = it),
        ("subscribe", &granted.subscribe, |to, it| to.subscribe = it),
        ("invoke", &granted.invoke, |to, it| to.invoke = it),
        ("bindings", &granted.bindings, |to, it| to.bindings = it),
        ("secrets", &granted.secrets, |to, it| to.secrets = it),
        ("configuration", &granted.configuration, |to, it| {
            to.configuration = it;
        }),
        ("lock", &granted.lock, |to, it| to.lock = it),
    ]
}
