//! A configuration as a tree that can be written again; variables are left unresolved.

use std::{collections::BTreeSet, fs};

use toml::{Table, Value};
use wasmgate::config::Input;

use super::super::Exit;

/// The texts of all files, each laid over those before: tables are joined, and any other value is replaced.
pub(super) fn read(input: &Input) -> Result<Table, Exit> {
    let mut whole = Table::new();
    for file in std::iter::once(&input.file).chain(&input.with) {
        let text = fs::read_to_string(file).map_err(|error| Exit::data(&error))?;
        let table = text.parse().map_err(|error| Exit::data(&error))?;
        lay_over(&mut whole, table);
    }
    Ok(whole)
}

fn lay_over(below: &mut Table, above: Table) {
    for (key, value) in above {
        match (below.get_mut(&key), value) {
            (Some(Value::Table(below)), Value::Table(above)) => lay_over(below, above),
            (_, value) => {
                below.insert(key, value);
            }
        }
    }
}

/// A table at the root, which is made where it is not there.
pub(super) fn section<'t>(document: &'t mut Table, name: &str) -> Option<&'t mut Table> {
    let table = document
        .entry(name)
        .or_insert_with(|| Value::Table(Table::new()));
    table.as_table_mut()
}

/// Shows each key at a path with the table that it is in and its whole name; `*` stands for any key.
pub(super) fn each(table: &mut Table, path: &[&str], before: &str, see: &mut dyn FnMut(&mut Table, &str, String)) {
    let Some((first, rest)) = path.split_first() else {
        return;
    };
    let is_named = |key: &String| *first == "*" || key == first;
    let keys: Vec<String> = table.keys().filter(|key| is_named(key)).cloned().collect();
    for key in keys {
        let name = format!("{before}{key}");
        if rest.is_empty() {
            see(table, &key, name);
        } else if let Some(Value::Table(inner)) = table.get_mut(&key) {
            each(inner, rest, &format!("{name}."), see);
        }
    }
}

/// The variables that a configuration cannot do without: those with `${NAME}`, and no default.
pub(super) fn variables(value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::String(text) => found.extend(of_text(text)),
        Value::Array(values) => values.iter().for_each(|value| variables(value, found)),
        Value::Table(table) => table.iter().for_each(|(_, value)| variables(value, found)),
        _ => {}
    }
}

/// The names in a text; `$${` stands for `${` itself.
fn of_text(text: &str) -> impl Iterator<Item = String> {
    let mut before = "";
    let names = text.split("${").enumerate().filter_map(move |(at, part)| {
        let is_itself = at == 0 || before.ends_with('$');
        before = part;
        let (name, _) = part.split_once('}')?;
        (!is_itself && !name.contains(":-")).then(|| name.to_owned())
    });
    names.collect::<Vec<_>>().into_iter()
}
