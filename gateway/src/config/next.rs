//! `next`: the packages that middleware passes its requests on to.

use std::collections::HashMap;

use wasmgate_common::{Code, Diagnostic};

use super::{package::PackageConfig, reader::Notes};

/// The most packages behind each other: each holds an instance for as long as those behind it are at work.
const MOST_BEHIND: usize = 8;

/// The packages by name. One that is wrong in itself is there without its configuration.
type All<'a> = HashMap<&'a str, Option<&'a PackageConfig>>;

/// Refuses a package that passes its requests on to none that is there, to too many, or in the end to itself.
pub(super) fn check(notes: &Notes<'_>, packages: &[(&str, Option<PackageConfig>)]) {
    let all: All<'_> = packages
        .iter()
        .map(|(name, package)| (*name, package.as_ref()))
        .collect();
    for package in packages.iter().filter_map(|(_, package)| package.as_ref()) {
        if let Some(at) = &package.next_at
            && let Some(mistake) = mistake(package, &all)
        {
            let key = format!("package.{}.next", package.name);
            notes.add(Some(at.clone()), &key, mistake);
        }
    }
}

/// What is wrong with the packages behind one. A circle that it only leads into is told of those in it.
fn mistake(package: &PackageConfig, all: &All<'_>) -> Option<Diagnostic> {
    let next = package.next.as_ref()?;
    if !all.contains_key(next.as_str()) {
        return Some(Diagnostic::new(
            Code::UnknownName,
            format!("there is no package {:?}", next.as_str()),
            format!("add [package.{}], or name another one", next.as_str()),
        ));
    }
    let mut chain = vec![package.name.as_str()];
    let mut behind = Some(next);
    while let Some(name) = behind {
        let is_back = name.as_str() == package.name.as_str();
        let is_circle = chain.contains(&name.as_str());
        chain.push(name.as_str());
        if is_back {
            return Some(Diagnostic::new(
                Code::Conflict,
                format!(
                    "{} passes its requests on to itself: {}",
                    package.name,
                    chain.join(" -> ")
                ),
                "end the chain with a package that has no `next`",
            ));
        }
        if is_circle {
            return None;
        }
        behind = all
            .get(name.as_str())
            .copied()
            .flatten()
            .and_then(|package| package.next.as_ref());
    }
    let behind = chain.len().saturating_sub(1);
    (behind > MOST_BEHIND).then(|| {
        Diagnostic::new(
            Code::Conflict,
            format!(
                "{behind} packages are behind each other and {}, and {MOST_BEHIND} may be",
                package.name
            ),
            "compose some of them beforehand (`wac plug`), or have one do the work of several",
        )
    })
}
