//! Which modules of a crate name which others, read from its sources.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

/// The modules of a crate by path, each with its text.
pub(super) struct Sources(BTreeMap<Vec<String>, String>);

/// Which modules each names.
pub(super) type Edges<'a> = BTreeMap<&'a [String], BTreeSet<&'a [String]>>;

impl Sources {
    pub(super) fn read(root: &Path) -> Self {
        let mut sources = Self(BTreeMap::new());
        sources.read_folder(root, root);
        assert!(
            !sources.0.is_empty(),
            "there is no source in {}",
            root.display()
        );
        sources
    }

    fn read_folder(&mut self, root: &Path, folder: &Path) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                self.read_folder(root, &path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).unwrap();
                self.insert(path.strip_prefix(root).unwrap().to_str().unwrap(), &text);
            }
        }
    }

    pub(super) fn new<const N: usize>(files: [(&str, &str); N]) -> Self {
        let mut sources = Self(BTreeMap::new());
        for (file, text) in files {
            sources.insert(file, text);
        }
        sources
    }

    /// Adds a file without its comments and unit tests; files of tests are left out.
    fn insert(&mut self, file: &str, text: &str) {
        let mut module: Vec<String> = file
            .trim_end_matches(".rs")
            .split('/')
            .map(str::to_owned)
            .collect();
        if module.contains(&"tests".to_owned()) {
            return;
        }
        module.pop_if(|last| matches!(last.as_str(), "mod" | "lib" | "main"));
        let text = text.split("#[cfg(test)]").next().unwrap_or_default();
        let lines = text
            .lines()
            .map(|line| line.split("//").next().unwrap_or_default());
        self.0.insert(module, lines.collect::<Vec<_>>().join("\n"));
    }

    /// Every cycle, between folders first.
    pub(super) fn circles(&self) -> Vec<String> {
        let deepest = self.0.keys().map(Vec::len).max().unwrap_or_default();
        let mut found = Vec::new();
        for depth in 1..=deepest {
            found.extend(self.circle(depth));
        }
        found.dedup();
        found
    }

    /// A shortest circle between modules of at most this depth, which stand for all that is within them.
    fn circle(&self, depth: usize) -> Option<String> {
        let edges = self.edges(depth);
        let circles = edges.keys().filter_map(|start| way_back(&edges, start));
        let shortest = circles.min_by_key(Vec::len)?;
        let names = shortest.iter().map(|module| module.join("::"));
        Some(names.collect::<Vec<_>>().join(" -> "))
    }

    /// Which modules of at most this depth name which others.
    pub(super) fn edges(&self, depth: usize) -> Edges<'_> {
        let mut edges = Edges::new();
        for (module, text) in &self.0 {
            let from = cut(module, depth);
            for target in imports(module, text)
                .iter()
                .flat_map(|path| self.defining(path))
            {
                let to = cut(target, depth);
                if !from.starts_with(to) && !to.starts_with(from) {
                    edges.entry(from).or_default().insert(to);
                }
            }
        }
        edges
    }

    /// The modules that a path leads through: the one it names, and if that only exports the name again, its origin.
    fn defining(&self, path: &[String]) -> Vec<&[String]> {
        let named = (0..=path.len())
            .rev()
            .find_map(|length| self.0.get_key_value(&path[..length]));
        let Some((module, text)) = named else {
            return Vec::new();
        };
        let mut found: Vec<&[String]> = vec![module];
        if let Some(name) = path.get(module.len()) {
            let exports = trees(text, "use ")
                .into_iter()
                .map(|path| absolute(module, &path));
            let again = exports.filter(|export| export.last() == Some(name) && export != path);
            found.extend(
                again
                    .flat_map(|export| self.0.get_key_value(&export[..export.len() - 1]))
                    .map(|(m, _)| &m[..]),
            );
        }
        found
    }
}

fn cut(module: &[String], depth: usize) -> &[String] {
    &module[..module.len().min(depth)]
}

/// The way from `start` back to it over the fewest modules.
fn way_back<'a>(edges: &Edges<'a>, start: &'a [String]) -> Option<Vec<&'a [String]>> {
    let (mut ways, mut seen) = (vec![vec![start]], BTreeSet::new());
    while !ways.is_empty() {
        let mut longer = Vec::new();
        for way in ways {
            for next in edges.get(way.last()?).into_iter().flatten() {
                let mut way = way.clone();
                way.push(*next);
                if *next == start {
                    return Some(way);
                }
                if seen.insert(*next) {
                    longer.push(way);
                }
            }
        }
        ways = longer;
    }
    None
}

/// All paths of a module that begin at `crate`, `super` or `self`, made absolute.
fn imports(module: &[String], text: &str) -> Vec<Vec<String>> {
    let used = trees(text, "use ").into_iter();
    let used = used.filter(|path| {
        ["crate", "super", "self"]
            .iter()
            .any(|root| path.split("::").next() == Some(root))
    });
    let inline = text.match_indices("crate::").map(|(at, _)| {
        let path = &text[at..];
        let end = path.find(|c: char| !c.is_alphanumeric() && !matches!(c, ':' | '_'));
        path[..end.unwrap_or(path.len())]
            .trim_end_matches(':')
            .to_owned()
    });
    used.chain(inline)
        .map(|path| absolute(module, &path))
        .collect()
}

/// The paths of every `use`, their braces undone.
fn trees(text: &str, keyword: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (at, _) in text.match_indices(keyword) {
        let before = text[..at].chars().next_back();
        if before.is_none_or(|c| !c.is_alphanumeric() && c != '_') {
            let tree = text[at + keyword.len()..]
                .split(';')
                .next()
                .unwrap_or_default();
            expand("", tree, &mut found);
        }
    }
    found
}

fn expand(prefix: &str, tree: &str, found: &mut Vec<String>) {
    let tree = tree.trim();
    let Some((head, rest)) = tree.split_once('{') else {
        let path = tree.split(" as ").next().unwrap_or_default();
        found.push(format!("{prefix}{}", path.trim()));
        return;
    };
    let prefix = format!("{prefix}{}", head.trim());
    let (mut depth, mut branch) = (0, String::new());
    for c in rest.chars() {
        match c {
            '}' if depth == 0 => break,
            ',' if depth == 0 => expand(&prefix, &std::mem::take(&mut branch), found),
            _ => {
                depth += i32::from(c == '{') - i32::from(c == '}');
                branch.push(c);
            }
        }
    }
    if !branch.trim().is_empty() {
        expand(&prefix, &branch, found);
    }
}

/// A path from the root of the crate; one that begins with a name begins at `module`.
fn absolute(module: &[String], path: &str) -> Vec<String> {
    let mut base = module.to_vec();
    let mut parts = path
        .split("::")
        .map(str::trim)
        .filter(|part| !part.is_empty())
        .peekable();
    while let Some(root) = parts.next_if(|part| matches!(*part, "crate" | "self" | "super")) {
        match root {
            "crate" => base.clear(),
            "super" => drop(base.pop()),
            _ => {}
        }
    }
    base.extend(parts.filter(|part| *part != "self").map(str::to_owned));
    base
}
