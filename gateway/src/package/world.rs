//! Determines a component's world from the names of its imports and exports, before anything is compiled.

use std::path::Path;

use super::{PackageError, survey::Survey};
use crate::{config::Kind, engine::World};

/// The packages of WASI. Proposals have versions of their own.
pub(super) const WASI: [&str; 7] = [
    "wasi:cli/",
    "wasi:clocks/",
    "wasi:filesystem/",
    "wasi:http/",
    "wasi:io/",
    "wasi:random/",
    "wasi:sockets/",
];

/// The handler of WASI 0.2.
const INCOMING_HANDLER: &str = "wasi:http/incoming-handler";

/// The handler of WASI 0.3, which middleware imports too.
const HANDLER: &str = "wasi:http/handler";

/// The export of a program.
const RUN: &str = "wasi:cli/run";

/// The world of a component that is called in this way.
///
/// # Errors
/// When its world is not supported, or it is a mix of two.
pub(super) fn of(survey: &Survey, kind: Kind, has_next: bool, path: &Path) -> Result<World, PackageError> {
    foreign(survey, path)?;
    let world = match kind {
        Kind::Http => with_handler(survey, path),
        Kind::Cgi => command(survey, path),
    }?;
    match (
        world == World::Service && middleware(survey).is_some(),
        has_next,
    ) {
        (true, false) => Err(PackageError::Middleware {
            path: path.to_owned(),
            name: middleware(survey).unwrap_or_default().to_owned(),
        }),
        (false, true) => Err(PackageError::NoMiddleware {
            path: path.to_owned(),
        }),
        (true, true) | (false, false) => Ok(world),
    }
}

/// Refuses a component whose instances cannot answer more than one request.
pub(super) fn reused(world: World, path: &Path) -> Result<(), PackageError> {
    if world == World::Service {
        return Ok(());
    }
    let path = path.to_owned();
    Err(PackageError::NotReusable { path, world })
}

/// The handler that a component imports, if any.
fn middleware(survey: &Survey) -> Option<&str> {
    find(&survey.imports, is_service)
}

fn is_service(name: &str) -> bool {
    is_of(name, HANDLER) && version(name) == Some(Version::Wasi03)
}

/// The world of a program. Some WASI 0.3 programs also export the entry point of 0.2.
fn command(survey: &Survey, path: &Path) -> Result<World, PackageError> {
    let run_of = |wasi| move |name: &str| is_of(name, RUN) && version(name) == Some(wasi);
    let [of_02, of_03] = [Version::Wasi02, Version::Wasi03].map(|wasi| find(&survey.exports, run_of(wasi)));
    let runs = [of_02.filter(|_| of_03.is_none()), of_03];
    one_of(survey, runs, [World::Command, World::CommandOf03], path)?.ok_or_else(|| PackageError::NoCommand {
        path: path.to_owned(),
        instead: instead(survey),
    })
}

/// The world whose export a component has. One of WASI 0.3 may import 0.2 too, but not the other way round.
fn one_of(
    survey: &Survey,
    exports: [Option<&str>; 2],
    worlds: [World; 2],
    path: &Path,
) -> Result<Option<World>, PackageError> {
    let two_worlds = |how: String| PackageError::TwoWorlds {
        path: path.to_owned(),
        how,
    };
    let [of_02, of_03] = worlds;
    match exports {
        [Some(first), Some(second)] => Err(two_worlds(format!("it exports {first} and {second}"))),
        [Some(export), None] => match find(&survey.imports, |name| {
            version(name) == Some(Version::Wasi03)
        }) {
            Some(imported) => Err(two_worlds(format!(
                "it exports {export} and imports {imported}"
            ))),
            None => Ok(Some(of_02)),
        },
        [None, Some(_)] => Ok(Some(of_03)),
        [None, None] => Ok(None),
    }
}

/// The world of a component with an HTTP handler.
fn with_handler(survey: &Survey, path: &Path) -> Result<World, PackageError> {
    let is_proxy = |name: &str| is_of(name, INCOMING_HANDLER) && version(name) == Some(Version::Wasi02);
    let handlers = [
        find(&survey.exports, is_proxy),
        find(&survey.exports, is_service),
    ];
    one_of(survey, handlers, [World::Proxy, World::Service], path)?.ok_or_else(|| no_handler(survey, path))
}

/// Refuses interfaces of other hosts and unsupported versions of WASI.
fn foreign(survey: &Survey, path: &Path) -> Result<(), PackageError> {
    let path = || path.to_owned();
    let names = || survey.exports.iter().chain(&survey.imports);
    for name in names() {
        let text = || {
            name.split_once('@')
                .map_or("", |(_, version)| version)
                .to_owned()
        };
        match version(name) {
            Some(Version::Draft) => {
                return Err(PackageError::Draft {
                    path: path(),
                    version: text(),
                    name: name.clone(),
                });
            }
            Some(Version::Other) => {
                return Err(PackageError::OtherWasi {
                    path: path(),
                    version: text(),
                    name: name.clone(),
                });
            }
            Some(Version::Wasi02 | Version::Wasi03) | None => {}
        }
    }
    let mut names = names();
    let spins = names.find(|name| name.starts_with("fermyon:spin/") || name.starts_with("spin:"));
    match spins.cloned() {
        Some(name) => Err(PackageError::Spin { path: path(), name }),
        None => Ok(()),
    }
}

/// The error for a component without a handler, with what it is instead.
fn no_handler(survey: &Survey, path: &Path) -> PackageError {
    let path = path.to_owned();
    if let Some(name) = find(&survey.exports, |name| is_of(name, RUN)) {
        let name = name.to_owned();
        return PackageError::Command { path, name };
    }
    let instead = instead(survey);
    PackageError::NoHandler { path, instead }
}

/// What a component exports instead.
fn instead(survey: &Survey) -> String {
    if !survey.has_code {
        "it is a description of interfaces, without code".to_owned()
    } else if survey.exports.is_empty() {
        "it exports nothing".to_owned()
    } else {
        format!("it exports {}", survey.exports.join(", "))
    }
}

fn find(names: &[String], is_meant: impl Fn(&str) -> bool) -> Option<&str> {
    names.iter().map(String::as_str).find(|name| is_meant(name))
}

/// Returns whether a name is an interface in any version.
fn is_of(name: &str, interface: &str) -> bool {
    name.strip_prefix(interface)
        .is_some_and(|version| version.is_empty() || version.starts_with('@'))
}

/// A version of WASI, by support.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Version {
    /// Any patch level of 0.2.
    Wasi02,
    /// Any patch level of 0.3.
    Wasi03,
    /// A draft of one of them.
    Draft,
    /// Any other.
    Other,
}

/// The WASI version of a name, if it is one of WASI's.
pub(super) fn version(name: &str) -> Option<Version> {
    let (interface, version) = name.split_once('@')?;
    if !WASI.iter().any(|package| interface.starts_with(package)) {
        return None;
    }
    let is_draft = version.contains('-');
    Some(if version.starts_with("0.2.") && !is_draft {
        Version::Wasi02
    } else if version.starts_with("0.3.") && !is_draft {
        Version::Wasi03
    } else if is_draft {
        Version::Draft
    } else {
        Version::Other
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_of_wasi_are_told_and_other_packages_have_none() {
        for (name, expected) in [
            (
                "wasi:http/handler@0.3.0-rc-2026-01-06",
                Some(Version::Draft),
            ),
            (
                "wasi:http/incoming-handler@0.2.0-rc-2023-12-05",
                Some(Version::Draft),
            ),
            ("wasi:http/types@0.3.0", Some(Version::Wasi03)),
            ("wasi:http/types@0.3.17", Some(Version::Wasi03)),
            ("wasi:http/incoming-handler@0.2.99", Some(Version::Wasi02)),
            ("wasi:http/handler@0.4.0", Some(Version::Other)),
            ("wasi:keyvalue/store@0.2.0-draft", None),
            ("acme:weather/forecast@1.0.0", None),
            ("handle", None),
        ] {
            assert_eq!(version(name), expected, "{name}");
        }
    }

    fn world(imports: &[&str], exports: &[&str]) -> Result<World, String> {
        world_of(Kind::Http, imports, exports)
    }

    fn world_of(kind: Kind, imports: &[&str], exports: &[&str]) -> Result<World, String> {
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        let mut survey = Survey::default();
        (survey.imports, survey.exports) = (names(imports), names(exports));
        survey.has_code = true;
        of(&survey, kind, false, Path::new("x.wasm")).map_err(|error| error.to_string())
    }

    #[test]
    fn any_patch_level_of_0_2_is_the_handler_and_no_other_interface_is() {
        for patch in ["0.2.0", "0.2.99"] {
            let handler = format!("wasi:http/incoming-handler@{patch}");
            assert_eq!(world(&[], &[&handler]), Ok(World::Proxy));
        }
        let other = world(&[], &["wasi:http/incoming-handler-x@0.2.0"]);
        assert!(
            other
                .unwrap_err()
                .contains("it exports wasi:http/incoming-handler-x@0.2.0")
        );
    }

    #[test]
    fn a_service_of_0_3_may_use_0_2_besides_and_a_middleware_is_told() {
        let [handler, next] = ["wasi:http/handler@0.3.2", "wasi:http/handler@0.3.0"];
        let imports = ["wasi:cli/environment@0.2.12", "wasi:http/types@0.3.2"];
        assert_eq!(world(&imports, &[handler]), Ok(World::Service));
        let middleware = world(&[next], &[handler]).unwrap_err();
        assert!(middleware.contains("is a middleware"), "{middleware}");
        for other in [
            "wasi:http/handler",
            "wasi:http/handler@0.2.0",
            "wasi:http/incoming-handler@0.3.0",
        ] {
            assert!(world(&[], &[other]).is_err(), "{other}");
        }
    }

    #[test]
    fn a_program_is_served_where_one_is_asked_for_and_nowhere_else() {
        let [run, handler] = ["wasi:cli/run@0.2.6", "wasi:http/incoming-handler@0.2.6"];
        assert_eq!(world_of(Kind::Cgi, &[], &[run]), Ok(World::Command));
        assert_eq!(
            world_of(Kind::Cgi, &[], &[run, handler]),
            Ok(World::Command)
        );
        assert_eq!(world(&[], &[run, handler]), Ok(World::Proxy));
        assert!(world(&[], &[run]).unwrap_err().contains("it is a command"));
        for other in [
            handler,
            "wasi:cli/run@0.3.0-rc-2026-03-15",
            "wasi:cli/run@0.4.0",
        ] {
            let told = world_of(Kind::Cgi, &[], &[other]).unwrap_err();
            assert!(told.contains(other), "{told}");
        }
        let newer = "wasi:cli/run@0.3.0";
        let both = ["wasi:cli/stdout@0.3.2", "wasi:cli/stdout@0.2.6"];
        assert_eq!(world_of(Kind::Cgi, &both, &[newer]), Ok(World::CommandOf03));
        assert_eq!(
            world_of(Kind::Cgi, &both, &[run, newer]),
            Ok(World::CommandOf03)
        );
        assert!(
            world(&[], &[newer])
                .unwrap_err()
                .contains("it is a command")
        );
        let half = world_of(Kind::Cgi, &["wasi:http/client@0.3.0"], &[run]).unwrap_err();
        assert!(half.contains("two worlds"), "{half}");
    }

    #[test]
    fn a_component_of_two_worlds_is_told_by_both_names() {
        let [old, new] = [
            "wasi:http/incoming-handler@0.2.3",
            "wasi:http/handler@0.3.0",
        ];
        let both = world(&[], &[new, old]).unwrap_err();
        assert!(
            both.contains(&format!("it exports {old} and {new}")),
            "{both}"
        );
        let client = "wasi:http/client@0.3.0";
        let half = world(&[client], &[old]).unwrap_err();
        assert!(
            half.contains(&format!("it exports {old} and imports {client}")),
            "{half}"
        );
    }
}
