//! How mistakes are told: all of them, with place, code and remedy.

use super::*;

#[test]
fn all_mistakes_come_in_one_report_in_the_order_of_the_file() {
    let text = r#"
[server]
listen = "nowhere"
wokers = 2
drain_timeout = 30
[limits]
memory = "128MB"
[package.Hello]
source = "absent.wasm"
outbound = ["api.example.com"]
[[route]]
path = "hello"
package = "helo"
"#;
    let lines: Vec<u32> = mistakes(text)
        .iter()
        .map(|m| m.place.position.unwrap().line)
        .collect();
    assert_eq!(lines, [3, 4, 5, 7, 8, 9, 10, 12, 13]);
}

#[test]
fn every_mistake_is_printed_with_its_place_key_and_help() {
    let rejected = Folder::new()
        .parse("[server]\nlisten = 1\nadmin = 2\n")
        .unwrap_err();
    let text = rejected.to_string();
    for mistake in rejected.diagnostics {
        let Position { line, column } = mistake.place.position.unwrap();
        let key = &mistake.place.key;
        assert!(text.contains(&format!("wasmgate.toml:{line}:{column}: {key}")));
        assert!(text.contains(&mistake.help));
    }
}

#[test]
fn a_column_counts_characters_and_not_bytes() {
    assert_eq!(
        mistake("package = { \"ü\" = { source = \"hello.wasm\" } }"),
        (1, 13, "package.ü".to_owned())
    );
}

#[test]
fn every_syntax_error_is_reported_with_its_line() {
    let all = mistakes("[server]\nworkers = = 2\n[limits]\ntimeout = \"x\n");
    let lines: Vec<u32> = all.iter().map(|m| m.place.position.unwrap().line).collect();
    assert!(lines.contains(&2) && lines.contains(&4), "{all:#?}");
}

#[test]
fn a_key_that_is_there_twice_is_refused() {
    let all = mistakes(&format!("{HELLO}{HELLO}"));
    assert_eq!(all[0].place.position.unwrap().line, 3);
}

#[test]
fn what_is_found_later_is_reported_at_its_place() {
    let config = accepted(&format!("{HELLO}[server]\nlisten = \"127.0.0.1:80\""));
    let wrong = || Diagnostic::new(Code::InvalidValue, "message", "help");
    assert_eq!(
        config.at_key("server.listen", wrong()).place.position,
        Some(Position {
            line: 4,
            column: 10
        })
    );
    assert_eq!(config.at_key("server.admin", wrong()).place.position, None);
    let source = config.at_source(&config.packages[0], wrong());
    assert_eq!(
        (source.place.position, source.place.key.as_str()),
        (
            Some(Position {
                line: 2,
                column: 10
            }),
            "package.hello.source"
        )
    );
}

#[test]
fn each_kind_of_mistake_has_a_code_for_tools() {
    for (text, code) in [
        ("[server", Code::Syntax),
        ("[server]\nlisen = 1", Code::UnknownKey),
        ("[package.hello]", Code::MissingKey),
        ("[server]\nworkers = \"two\"", Code::WrongType),
        ("[server]\nworkers = 5000", Code::OutOfRange),
        ("[limits]\ntimeout = \"30 parsecs\"", Code::InvalidValue),
        ("[dapr]\nmode = \"cloud\"", Code::UnknownName),
        ("[dapr]\ncomponents = \"nowhere\"", Code::FileMissing),
        ("[server]\nadmin = \"127.0.0.1:3000\"", Code::Conflict),
        (
            &with_route("path = \"/{a}/{a}\"\npackage = \"hello\""),
            Code::Duplicate,
        ),
        (
            "[package.hello]\nsource = \"https://example.com/n.wasm\"",
            Code::Unsupported,
        ),
    ] {
        let all = mistakes(text);
        assert_eq!(all.len(), 1, "{all:#?}");
        assert_eq!(all[0].code, code, "{text}");
    }
}

#[test]
fn a_text_without_quotes_is_told_in_plain_words() {
    for (line, words) in [
        ("listen = 127.0.0.1:3000 # all", "write \"127.0.0.1:3000\""),
        ("drain_timeout = 30s", "write \"30s\""),
        ("workers = two", "write \"two\""),
        ("workers = True", "write true"),
    ] {
        let told = Folder::new()
            .parse(&format!("[server]\n{line}\n"))
            .unwrap_err()
            .to_string();
        assert!(told.contains(words), "{told}");
        for word in ["float", "literal", "expected"] {
            assert!(!told.contains(word), "{told}");
        }
    }
}

#[test]
fn a_needed_key_that_is_misspelt_is_told_once() {
    for (text, line, help) in [
        (
            "[package.hello]\nsorce = \"hello.wasm\"",
            2,
            "write \"source\"",
        ),
        (
            &with_route("path = \"/\"\npakage = \"hello\""),
            5,
            "write \"package\"",
        ),
        (
            &with_route("pth = \"/\"\npackage = \"hello\""),
            4,
            "write \"path\"",
        ),
        // What the route names is there, by the name of another table.
        (
            &with_route("path = \"/\"\npackage = \"hello\"").replace("[package.hello]", "[pakage.hello]"),
            1,
            "write \"package\"",
        ),
        (
            &format!("{HELLO}[package.hello.build]\ncomand = \"make\""),
            4,
            "write \"command\"",
        ),
        (
            &format!("{HELLO}[package.hello.blobstore.images]\nfoldr = \"images\""),
            4,
            "write \"folder\"",
        ),
        (
            &format!("{HELLO}[package.hello.rate_limit]\nrequest = 1"),
            4,
            "write \"requests\"",
        ),
        (
            &format!("{HELLO}[package.hello.tls]\ncertificate = \"a.pem\"\nkee = \"a.key\""),
            5,
            "write \"key\"",
        ),
        (
            "[dapr]\ndedicated = \"hello\"\n[package.hello]\nsorce = \"hello.wasm\"\ndapr = { invoke = [\"*\"] }",
            4,
            "write \"source\"",
        ),
    ] {
        let all = mistakes(text);
        let [one] = all.as_slice() else {
            panic!("not one mistake of {text}, but {all:#?}");
        };
        assert_eq!(
            (one.place.position.unwrap().line, one.help.as_str()),
            (line, help),
            "{text}"
        );
    }
    let all = mistakes("[server.tls]\ncertificat = \"a.pem\"\nkee = \"a.key\"");
    let told: Vec<_> = all.iter().map(|mistake| mistake.code).collect();
    assert_eq!(told, [Code::UnknownKey; 2], "{all:#?}");
    // Another one that is like it stands for nothing where the key itself is written.
    let all = mistakes("[package.hello]\nsource = \"gone.wasm\"\nsorce = \"hello.wasm\"");
    assert_eq!(all.len(), 2, "{all:#?}");
}
