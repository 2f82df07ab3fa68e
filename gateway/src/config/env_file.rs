//! Files of variables: lines of `NAME=VALUE`, as in `docker run --env-file` and similar tools.

use std::path::Path;

use wasmgate_common::{Code, Diagnostic, Place, Position};

use super::fill::is_name;

/// Reads the text of such a file. Empty lines and those that begin with `#` say nothing; `export ` before a name and a
/// pair of quotes around a value are taken off.
///
/// # Errors
/// With every line that is none of these; a value is never part of what is said.
pub(super) fn read(text: &str, file: &Path) -> Result<Vec<(String, String)>, Vec<Diagnostic>> {
    let mut variables = Vec::new();
    let mut wrong = Vec::new();
    for (line, number) in text.lines().zip(1..) {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let line = line.strip_prefix("export ").unwrap_or(line);
        match line.split_once('=') {
            Some((name, value)) if is_name(name.trim()) => {
                variables.push((name.trim().to_owned(), unquoted(value.trim()).to_owned()));
            }
            _ => {
                let position = Position {
                    line: number,
                    column: 1,
                };
                let place = Place::in_file(file.into(), Some(position), "");
                let help = "write NAME=VALUE, with letters, digits and _ in the name; a comment begins with #";
                let said = Diagnostic::new(Code::Syntax, "this line gives no variable", help);
                wrong.push(said.at(place));
            }
        }
    }
    if wrong.is_empty() {
        Ok(variables)
    } else {
        Err(wrong)
    }
}

fn unquoted(value: &str) -> &str {
    let within = |quote| value.strip_prefix(quote)?.strip_suffix(quote);
    within('"').or_else(|| within('\'')).unwrap_or(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_a_file_are_read_as_tools_of_the_kind_do() {
        let text = "# comment\n\nA=1\nexport B = two words \nC='x=y'\nD=\"\"\nE=\"\n";
        let variables = read(text, Path::new("a.env")).unwrap();
        let pairs: Vec<(&str, &str)> = variables
            .iter()
            .map(|(n, v)| (n.as_str(), v.as_str()))
            .collect();
        assert_eq!(
            pairs,
            [
                ("A", "1"),
                ("B", "two words"),
                ("C", "x=y"),
                ("D", ""),
                ("E", "\"")
            ]
        );
    }

    #[test]
    fn a_line_that_gives_no_variable_is_told_with_its_place_and_without_what_it_holds() {
        let wrong = read("A=1\nhunter2\n1B=hunter2\n", Path::new("a.env")).unwrap_err();
        let told: Vec<String> = wrong.iter().map(ToString::to_string).collect();
        assert!(told.first().unwrap().starts_with("a.env:2:1: "), "{told:?}");
        assert_eq!(told.len(), 2);
        assert!(!told.concat().contains("hunter2"), "{told:?}");
    }
}
