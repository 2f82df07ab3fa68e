//! A guest's environment, and a program's arguments.

use wasmgate_common::{Code, Diagnostic};

use super::{kind::Kind, reader::Section};

/// The variables that the gateway itself gives to a guest with Dapr.
const RESERVED_VARIABLES: [&str; 2] = ["APP_ID", "DAPR_HTTP_ENDPOINT"];

/// The guest's environment, in the order of names.
pub(super) fn env(package: &Section<'_>, kind: Kind) -> Vec<(String, String)> {
    let variables = package.named("env").filter_map(|(name, value)| {
        if name.value.is_empty() || name.value.contains(['=', '\0']) {
            name.refuse(Diagnostic::new(
                Code::InvalidValue,
                format!("{:?} can be no variable", name.value),
                "name it without \"=\" and zero bytes",
            ));
        } else if RESERVED_VARIABLES.contains(&name.value) || kind.sets(name.value) {
            name.refuse(Diagnostic::new(
                Code::Conflict,
                format!("{} is set by the gateway", name.value),
                "remove the variable",
            ));
        }
        let value = value.text("info")?;
        if value.value.contains('\0') {
            value.refuse(Diagnostic::new(
                Code::InvalidValue,
                "the value has a zero byte",
                "write it without",
            ));
        }
        Some((name.value.to_owned(), value.value.to_owned()))
    });
    variables.collect()
}

/// A program's arguments behind its name.
pub(super) fn args(package: &Section<'_>, kind: Kind) -> Vec<String> {
    let arguments = package.texts("args", "/app.rb").unwrap_or_default();
    if kind != Kind::Cgi && package.has("args") {
        let wrong = Diagnostic::new(
            Code::Conflict,
            "a package that exports a handler is started without arguments",
            "write kind = \"cgi\" if it is a program, or remove `args`",
        );
        package.refuse_key("args", wrong);
    }
    let arguments = arguments.into_iter().map(|argument| {
        if argument.value.contains('\0') {
            argument.refuse(Diagnostic::new(
                Code::InvalidValue,
                "the argument has a zero byte",
                "write it without",
            ));
        }
        argument.value.to_owned()
    });
    arguments.collect()
}
