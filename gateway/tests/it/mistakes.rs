//! Mistakes in `wasmgate.toml`: all of them in one run, each with its place, and nothing served.

use std::collections::BTreeSet;

use tempfile::TempDir;

use crate::harness::{guest, run};

/// `EX_USAGE`.
const USAGE: i32 = 64;

/// Returns what `wasmgate check` (and `up`, the same) says of this file.
fn report_on(toml: impl AsRef<[u8]>) -> String {
    let folder = TempDir::new().unwrap();
    std::fs::write(folder.path().join("wasmgate.toml"), toml).unwrap();
    let mut told = String::new();
    // `check` first: a mistake that it misses would make `up` serve.
    for command in ["check", "up"] {
        let output = run(folder.path(), &[command]);
        told = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(USAGE), "{told}");
        assert!(!String::from_utf8_lossy(&output.stdout).contains("listening on"));
    }
    told
}

/// The lines of the file that are named as `wasmgate.toml:LINE:COLUMN`.
fn lines_named(told: &str) -> BTreeSet<usize> {
    told.split("wasmgate.toml:")
        .skip(1)
        .filter_map(|rest| {
            let (line, rest) = rest.split_once(':')?;
            rest.starts_with(|c: char| c.is_ascii_digit())
                .then(|| line.parse().ok())?
        })
        .collect()
}

/// A configuration that is right but for what each test adds.
fn around(server: &str, package: &str, routes: &str) -> String {
    let source = guest("hello");
    format!(
        "[server]\nlisten = \"127.0.0.1:0\"\nadmin = \"127.0.0.1:0\"\n{server}\n\
         [package.hello]\nsource = '{}'\n{package}\n\
         [[route]]\npath = \"/hello\"\npackage = \"hello\"\n{routes}\n",
        source.display()
    )
}

#[track_caller]
fn assert_tells(toml: &str, marked: &str, words: &[&str]) {
    let told = report_on(toml);
    let line = 1 + toml.lines().position(|line| line.contains(marked)).unwrap();
    assert!(
        lines_named(&told).contains(&line),
        "line {line} is not named in:\n{told}"
    );
    for word in words {
        assert!(told.contains(word), "nothing about {word} in:\n{told}");
    }
}

#[test]
fn all_mistakes_are_told_in_one_run_each_with_its_line() {
    let toml = around(
        "lisen = \"127.0.0.1:1\"        # mistake\n\
         drain_timeout = \"30 parsecs\"  # mistake\n\
         workers = \"two\"               # mistake",
        "limits = { memory = \"1 zebra\" } # mistake\n\
         [package.without-source]        # mistake\n\
         env = { A = \"b\" }\n",
        "[[route]]\npath = \"/a\"\npackage = \"helo\" # mistake\n\
         [[route]]\npath = \"no-slash\" # mistake\npackage = \"hello\"\n",
    );
    let named = lines_named(&report_on(&toml));
    for (index, line) in toml
        .lines()
        .enumerate()
        .filter(|(_, line)| line.contains("# mistake"))
    {
        assert!(
            named.contains(&(index + 1)),
            "line {} ({line}) is not in {named:?}",
            index + 1
        );
    }
}

#[test]
fn an_unknown_key_is_told_with_the_near_one() {
    assert_tells(
        &around("lisen = \"x\"", "", ""),
        "lisen",
        &["lisen", "listen"],
    );
    assert_tells(
        &around("", "sorce = \"x\"", ""),
        "sorce",
        &["sorce", "source"],
    );
    assert_tells(
        &around("", "", "strip_prefx = \"/\""),
        "strip_prefx",
        &["strip_prefix"],
    );
    assert_tells(
        &around("", "limits = { timout = \"1s\" }", ""),
        "timout",
        &["timeout"],
    );
    assert_tells(
        &around("", "[serverr]", ""),
        "[serverr]",
        &["serverr", "server"],
    );
}

#[test]
fn an_unknown_package_is_told_with_the_near_one() {
    let toml = around("", "", "[[route]]\npath = \"/a\"\npackage = \"helo\"");
    assert_tells(&toml, "\"helo\"", &["helo", "hello"]);
}

#[test]
fn a_wrong_type_is_told_at_its_place() {
    assert_tells(
        &around("workers = \"two\"", "", ""),
        "workers",
        &["workers"],
    );
    assert_tells(&around("", "env = [1]", ""), "env", &["env"]);
    assert_tells(&around("", "env = { A = 1 }", ""), "env", &["A"]);
    assert_tells(
        &around("", "", "methods = \"GET\""),
        "methods",
        &["methods"],
    );
}

#[test]
fn a_value_that_makes_no_sense_is_told_at_its_place() {
    for server in [
        "drain_timeout = \"30 parsecs\"",
        "drain_timeout = \"-1s\"",
        "drain_timeout = \"\"",
        "drain_timeout = \"99999999999999999999s\"",
        "workers = -1",
        "request_head = \"1 zebra\"",
        "header_timeout = \"0s\"",
    ] {
        assert_tells(
            &around(server, "", ""),
            server,
            &[server.split(' ').next().unwrap()],
        );
    }
    let toml = around("", "limits = { concurrency = 0 }", "");
    assert_tells(&toml, "concurrency", &["concurrency"]);
}

#[test]
fn an_address_that_is_none_is_told_at_its_place() {
    let toml = around("", "", "").replace("listen = \"127.0.0.1:0\"", "listen = \"somewhere\"");
    assert_tells(&toml, "somewhere", &["listen", "somewhere"]);
}

#[test]
fn routes_that_collide_are_told() {
    for (one, other) in [("/a", "/a"), ("/a/{x}", "/a/{y}"), ("/a/{*x}", "/a/{*y}")] {
        let toml = around(
            "",
            "",
            &format!(
                "[[route]]\npath = \"{one}\"\npackage = \"hello\"\n\
                 [[route]]\npath = \"{other}\" # again\npackage = \"hello\"",
            ),
        );
        let told = report_on(&toml);
        assert!(told.contains(one), "{told}");
        assert!(!lines_named(&told).is_empty(), "{told}");
    }
}

#[test]
fn a_path_pattern_that_is_none_is_told_at_its_place() {
    for path in [
        "",
        "hello",
        "/a{b}",
        "/{}",
        "/{a}/{a}",
        "/{*rest}/more",
        "/{open",
        "/../x",
    ] {
        let toml = around(
            "",
            "",
            &format!("[[route]]\npath = \"{path}\" # here\npackage = \"hello\""),
        );
        assert_tells(&toml, "# here", &[]);
    }
}

#[test]
fn a_host_or_method_that_is_none_is_told_at_its_place() {
    for line in [
        "host = \"*\"",
        "host = \"a*.b\"",
        "host = \"http://a\"",
        "methods = [\"G T\"]",
        "methods = []",
    ] {
        let toml = around(
            "",
            "",
            &format!("[[route]]\npath = \"/a\"\npackage = \"hello\"\n{line} # here"),
        );
        assert_tells(&toml, "# here", &[]);
    }
}

#[test]
fn a_prefix_that_the_path_does_not_have_is_told_at_its_place() {
    let toml = around(
        "",
        "",
        "[[route]]\npath = \"/a\"\npackage = \"hello\"\nstrip_prefix = \"/b\"",
    );
    assert_tells(&toml, "strip_prefix", &["/b"]);
}

#[test]
fn a_syntax_error_is_told_at_its_place() {
    assert_tells(&around("workers = = 2", "", ""), "workers", &[]);
    assert_tells(&around("", "", "[[unclosed"), "[[unclosed", &[]);
}

#[test]
fn a_key_given_twice_is_told() {
    assert_tells(
        &around("workers = 1\nworkers = 2", "", ""),
        "workers = 2",
        &[],
    );
}

#[test]
fn a_file_that_is_not_utf_8_is_told_as_such() {
    let told = report_on(b"[server]\nlisten = \"\xff\xfe\"\n");
    assert!(
        told.contains("UTF-8") && told.contains("wasmgate.toml"),
        "{told}"
    );
}

#[test]
fn a_missing_file_is_told_by_its_name() {
    let folder = TempDir::new().unwrap();
    for arguments in [&["check"][..], &["up", "elsewhere.toml"], &["routes", "."]] {
        let output = run(folder.path(), arguments);
        let told = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(USAGE), "{arguments:?}: {told}");
        let name = arguments.get(1).unwrap_or(&"wasmgate.toml");
        assert!(told.contains(name), "{arguments:?}: {told}");
    }
}

#[test]
fn a_wrong_command_line_is_told_with_the_usage() {
    let folder = TempDir::new().unwrap();
    for arguments in [
        &["upp"][..],
        &["up", "--lisen", "x"],
        &["up", "--listen", "nowhere"],
        &[],
    ] {
        let output = run(folder.path(), arguments);
        let told = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(USAGE), "{arguments:?}: {told}");
        assert!(!told.is_empty());
    }
}

#[test]
fn what_would_be_waited_for_or_has_no_end_is_no_component() {
    let folder = TempDir::new().unwrap();
    let pipe = folder.path().join("pipe");
    let made = std::process::Command::new("mkfifo").arg(&pipe).status();
    assert!(made.unwrap().success());
    for source in [pipe.to_str().unwrap(), "/dev/zero"] {
        let toml = around("", "", "").replace(guest("hello").to_str().unwrap(), source);
        assert_tells(
            &toml,
            "source =",
            &[
                "is a pipe, a socket or a device",
                "write the path of the component's file",
            ],
        );
    }
}

#[test]
fn a_home_folder_of_the_shell_is_told_by_its_remedy() {
    let toml = around("", "", "").replace(guest("hello").to_str().unwrap(), "~/hello.wasm");
    assert_tells(
        &toml,
        "source =",
        &["there is no file ~/hello.wasm", "${HOME}"],
    );
}

#[test]
fn an_address_in_place_of_a_path_is_told_what_to_write() {
    let toml = around("", "", "").replace("path = \"/hello\"", "path = \"https://shop.example/hello\"");
    assert_tells(
        &toml,
        "path =",
        &["write path = \"/hello\" and host = \"shop.example\""],
    );
}

#[test]
fn what_cannot_be_written_is_told_by_the_exit_code_and_ends_nothing_in_a_panic() {
    let folder = TempDir::new().unwrap();
    let full = || std::fs::File::create("/dev/full").unwrap();
    let command = |arguments: &[&str]| {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_wasmgate"));
        command.args(arguments).current_dir(folder.path());
        command
    };
    // `EX_IOERR`: a file on a full disk has a part of what was asked for, or nothing.
    for arguments in [
        &["schema"][..],
        &["--help"],
        &["--version"],
        &["help", "up"],
    ] {
        let ended = command(arguments).stdout(full()).output().unwrap();
        assert_eq!(ended.status.code(), Some(74), "{arguments:?}");
        let told = String::from_utf8(ended.stderr).unwrap();
        assert!(told.contains("standard output cannot be written"), "{told}");
    }
    let mistake = command(&["check"]).stderr(full()).output().unwrap();
    assert_eq!(mistake.status.code(), Some(USAGE));
    // Who reads no further wants no more.
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let left = command(&["schema"]).stdout(writer).status().unwrap();
    assert_eq!(left.code(), Some(0));
}

#[test]
fn a_filter_of_the_log_that_is_none_is_told() {
    let folder = TempDir::new().unwrap();
    std::fs::write(folder.path().join("wasmgate.toml"), "").unwrap();
    for (filter, is_none) in [
        ("wasmgate=debgu", true),
        ("wasmgate=debug", false),
        ("", false),
    ] {
        let checked = std::process::Command::new(env!("CARGO_BIN_EXE_wasmgate"))
            .arg("check")
            .current_dir(folder.path())
            .env("RUST_LOG", filter)
            .output()
            .unwrap();
        let told = String::from_utf8(checked.stderr).unwrap();
        assert_eq!(told.contains("RUST_LOG is not heeded"), is_none, "{told}");
    }
}

#[test]
fn an_address_of_a_gateway_that_is_none_is_told_before_anybody_is_called() {
    let folder = TempDir::new().unwrap();
    for address in [
        "9090",
        "127.0.0.1",
        ":9090",
        "127.0.0.1:90900",
        "https://127.0.0.1:9090",
        "http://me@127.0.0.1:9090",
        "127.0.0.1:9090/status",
    ] {
        for command in [&["status"][..], &["reload"], &["parked", "list"]] {
            let output = run(folder.path(), &[command, &["--admin", address]].concat());
            let told = String::from_utf8_lossy(&output.stderr);
            assert_eq!(output.status.code(), Some(USAGE), "{address}: {told}");
            assert!(
                told.contains("write host and port: 127.0.0.1:9090"),
                "{told}"
            );
        }
    }
}

#[test]
fn a_component_that_cannot_be_read_or_written_is_told_as_such_and_not_as_the_cache() {
    let folder = TempDir::new().unwrap();
    for (arguments, code, words) in [
        (["push", ".", "localhost:1/x:1"], USAGE, ". cannot be read"),
        (
            ["push", "gone.wasm", "localhost:1/x:1"],
            USAGE,
            "gone.wasm cannot be read",
        ),
        (
            ["pull", "localhost:1/x:1", "--output=gone/x.wasm"],
            73,
            "gone/x.wasm cannot be written",
        ),
    ] {
        let output = run(folder.path(), &arguments);
        let told = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{told}");
        assert!(told.contains(words) && !told.contains("cache"), "{told}");
    }
}
