//! Hello in each language: the component, the request, and what is asked of Wasmgate there.

use std::{path::PathBuf, str::FromStr};

/// One language's hello.
#[derive(Debug)]
pub(super) struct Row {
    /// The name by which it is chosen.
    pub(super) name: &'static str,
    /// The name of its component in the folder of guests, without `.wasm`.
    pub(super) guest: &'static str,
    /// The path that it greets on.
    pub(super) path: &'static str,
    /// The package does its start-up once, when it is registered.
    pub(super) snapshot: bool,
    /// The peers.
    pub(super) against: &'static [Against],
}

/// A way in which `wasmtime serve` runs the same component.
#[derive(Debug)]
pub(super) struct Against {
    /// How it has instances.
    pub(super) instances: Instances,
    /// The processor time that it is to take for a request, at the least, as a multiple of Wasmgate's.
    pub(super) target: Option<f64>,
}

/// How a peer has instances.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Instances {
    /// A fresh one for each request, as Wasmgate.
    Fresh,
    /// As it comes: those of WASI 0.3 are used again.
    Reused,
}

const fn fresh(target: Option<f64>) -> Against {
    Against {
        instances: Instances::Fresh,
        target,
    }
}

/// The rows in the order in which they are measured.
pub(super) const ROWS: &[Row] = &[
    Row::of("sdk", "/hello", &[fresh(Some(9.0))]),
    Row {
        guest: "starts-up",
        snapshot: true,
        ..Row::of("snapshot", "/you", &[fresh(Some(9.0))])
    },
    Row::of("c", "/you", &[fresh(None)]),
    Row::of("go", "/you", &[fresh(Some(3.0))]),
    Row::of("javascript", "/you", &[fresh(Some(3.0))]),
    Row::of("hono", "/you", &[fresh(Some(1.5))]),
    Row::of("python", "/you", &[fresh(Some(2.5))]),
    Row::of(
        "wasi-0.3",
        "/",
        &[
            fresh(Some(4.0)),
            Against {
                instances: Instances::Reused,
                target: Some(1.0),
            },
        ],
    ),
];

impl Row {
    const fn of(name: &'static str, path: &'static str, against: &'static [Against]) -> Self {
        Self {
            name,
            guest: name,
            path,
            snapshot: false,
            against,
        }
    }
}

/// A row that was asked for, with the component to take for it.
#[derive(Debug, Clone)]
pub(crate) struct Chosen {
    pub(super) row: &'static Row,
    pub(super) file: Option<PathBuf>,
}

impl FromStr for Chosen {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (name, file) = match text.split_once('=') {
            Some((name, file)) => (name, Some(PathBuf::from(file))),
            None => (text, None),
        };
        let row = ROWS.iter().find(|row| row.name == name).ok_or_else(|| {
            let names: Vec<_> = ROWS.iter().map(|row| row.name).collect();
            format!("there are {}", names.join(", "))
        })?;
        Ok(Self { row, file })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_language_is_chosen_by_its_name_with_or_without_a_component() {
        let chosen: Chosen = "python=/tmp/app.wasm".parse().unwrap();
        assert_eq!(chosen.row.name, "python");
        assert_eq!(chosen.file, Some(PathBuf::from("/tmp/app.wasm")));
        let chosen: Chosen = "snapshot".parse().unwrap();
        assert!(chosen.row.snapshot && chosen.row.guest == "starts-up" && chosen.file.is_none());
        let said = "cobol".parse::<Chosen>().unwrap_err();
        assert!(said.contains("javascript"), "{said}");
    }
}
