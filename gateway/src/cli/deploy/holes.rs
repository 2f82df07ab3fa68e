//! Objects as YAML with placeholders: for chart values, and for strings that YAML 1.1 parsers would not read as
//! strings. A placeholder is a marker in the object.

use serde_json::Value;

use super::{super::Exit, names::is_text};

/// What begins and ends a mark: characters for private use, which no configuration has.
const MARK: [char; 2] = ['\u{F8F0}', '\u{F8F1}'];

/// What stands for a mark in the text.
enum Hole {
    /// A whole value, as JSON, which is YAML; or the action of a template that makes one: `{{ toJson … }}`.
    Value(String),
    /// A part of a text: `{{ … }}`.
    Part(String),
    /// Lines in the place of the mark's, as far in as that.
    Lines(Vec<String>),
}

/// The holes of a chart, or of an object.
#[derive(Default)]
pub(super) struct Holes(Vec<Hole>);

impl Holes {
    /// A mark for a value that an expression has.
    pub(super) fn value(&mut self, expression: &str) -> Value {
        self.mark(Hole::Value(format!("{{{{ toJson {expression} }}}}")))
    }

    /// A mark within a text for one that an expression has.
    pub(super) fn part(&mut self, expression: &str) -> Value {
        self.mark(Hole::Part(format!("{{{{ {expression} }}}}")))
    }

    /// A mark for lines of a template: of a key that is all of its object's, or of an item of a list.
    pub(super) fn lines<S: Into<String>>(&mut self, lines: impl IntoIterator<Item = S>) -> Value {
        self.mark(Hole::Lines(lines.into_iter().map(Into::into).collect()))
    }

    fn mark(&mut self, hole: Hole) -> Value {
        let [begin, end] = MARK;
        let mark = format!("{begin}{}{end}", self.0.len());
        self.0.push(hole);
        mark.into()
    }

    /// A value in one line of a template.
    pub(super) fn inline(&self, value: &Value) -> String {
        self.fill(&escaped(&value.to_string()))
    }

    /// An object as YAML.
    ///
    /// # Errors
    /// When an object is no YAML: a mistake in this program.
    pub(super) fn yaml(&mut self, object: &Value) -> Result<String, Exit> {
        self.text(object, str::to_owned)
    }

    /// An object as a template of YAML.
    ///
    /// # Errors
    /// When an object is no YAML: a mistake in this program.
    pub(super) fn template(&mut self, object: &Value) -> Result<String, Exit> {
        self.text(object, escaped)
    }

    fn text(&mut self, object: &Value, escape: impl Fn(&str) -> String) -> Result<String, Exit> {
        let mut object = object.clone();
        self.quote(&mut object, &escape);
        let yaml = serde_norway::to_string(&object).map_err(|error| Exit::data(&error))?;
        let mut text = String::new();
        for line in escape(&yaml).lines() {
            let Some((_, Hole::Lines(lines), _)) = self.find(line) else {
                text.push_str(&self.fill(line));
                text.push('\n');
                continue;
            };
            let (indent, _) = line.split_at(line.len() - line.trim_start().len());
            lines
                .iter()
                .for_each(|line| text.push_str(&format!("{indent}{line}\n")));
        }
        Ok(text)
    }

    /// Marks what must have quotation marks.
    fn quote(&mut self, value: &mut Value, escape: &impl Fn(&str) -> String) {
        match value {
            Value::String(word) if !is_text(word) => {
                let quoted = escape(&Value::from(word.as_str()).to_string());
                *value = self.mark(Hole::Value(quoted));
            }
            Value::Array(items) => items.iter_mut().for_each(|item| self.quote(item, escape)),
            Value::Object(fields) => fields
                .values_mut()
                .for_each(|value| self.quote(value, escape)),
            _ => {}
        }
    }

    /// The first hole of a text, with what is before and behind its mark.
    fn find<'t>(&self, text: &'t str) -> Option<(&'t str, &Hole, &'t str)> {
        let [begin, end] = MARK;
        let (before, rest) = text.split_once(begin)?;
        let (number, after) = rest.split_once(end)?;
        Some((before, self.0.get(number.parse::<usize>().ok()?)?, after))
    }

    /// A text with its values and parts; a value brings its own quotation marks.
    fn fill(&self, text: &str) -> String {
        match self.find(text) {
            Some((before, Hole::Value(action), after)) => {
                let before = before.strip_suffix(['\'', '"']).unwrap_or(before);
                let after = after.strip_prefix(['\'', '"']).unwrap_or(after);
                format!("{before}{action}{}", self.fill(after))
            }
            Some((before, Hole::Part(action), after)) => format!("{before}{action}{}", self.fill(after)),
            _ => text.to_owned(),
        }
    }
}

/// A text that a template says as it is.
pub(super) fn escaped(text: &str) -> String {
    text.replace("{{", "{{ \"{{\" }}")
}
