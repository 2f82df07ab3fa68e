use std::{
    thread,
    time::{Duration, Instant},
};

use serde_json::json;

use super::*;

fn holds(expression: &str) -> bool {
    let event = json!({
        "type": "order.new", "time": "2026-01-31T08:15:00.25Z", "pubsubname": "p",
        "data": {"total": 12, "price": 1.5, "tags": ["a", "bc"], "lines": [{"n": 1}, {"n": 2}], "none": null,
                 "big": 18446744073709551615_u64, "text": "äöü"},
    });
    let rule = Rule::new(expression, "/x".into());
    let rule = rule.unwrap_or_else(|error| panic!("{expression}: {error}"));
    is_true(&rule, &event).unwrap()
}

fn is_true(rule: &Rule, event: &Value) -> Result<bool, TooLong> {
    first_that_holds(std::slice::from_ref(rule), event).map(|rule| rule.is_some())
}

#[test]
fn rules_see_the_event() {
    for rule in [
        r#"event.type == "order.new""#,
        r#"event["type"].startsWith('order.') && event.type.endsWith("new")"#,
        "event.data.total > 10 && event.data.total <= 12.0",
        "event.data.price * 2.0 == 3.0 && -event.data.price < 0",
        r#""a" in event.data.tags && !("z" in event.data.tags)"#,
        r#""total" in event.data && has(event.data.total) && !has(event.data.missing)"#,
        "event.data.tags[1].size() == 2 && size(event.data.tags) == 2 && size(event.data.text) == 3",
        "event.data.lines.exists(line, line.n == 2) && event.data.lines.all(line, line.n > 0)",
        "event.data.lines.exists_one(x, x.n % 2 == 0) && event.data.lines.map(x, x.n + 1) == [2, 3]",
        "event.data.lines.filter(x, x.n > 1).size() == 1 && event.data.lines.map(x, x.n > 1, x.n) == [2]",
        "event.data.exists(key, key == 'none') && event.data.none == null",
        "event.type.matches('^order[.](new|old)$') && !matches(event.type, 'x')",
        "event.data.total == 12 ? true : event.missing",
        "1 + 2 * 3 - 4 / 2 == 5 && -7 % 3 == -1 && - -1 == 1 && !!true",
        "event.data.big == 18446744073709551615u && -9223372036854775808 < 0",
        "'a' + 'b' == 'ab' && [1] + [2] == [1, 2] && {'a': 1}.a == 1 && {'a': 1} == {'a': 1.0}",
        "int('7') == 7 && string(12) == '12' && double('1.5') == 1.5 && uint(3) == 3u && bool('true')",
        "timestamp(event.time) > timestamp('2026-01-01T00:00:00Z') && timestamp(event.time).getHours() == 8",
        "timestamp(event.time) - timestamp('2026-01-31T08:00:00Z') > duration('15m')",
        // A decided whole does not mind a part that fails.
        "event.missing == 1 || true",
        "true // a comment",
    ] {
        assert!(holds(rule), "{rule}");
    }
}

#[test]
fn what_is_false_or_fails_is_no_match() {
    for rule in [
        r#"event.type == "order.old""#,
        "event.data.missing.deep == 1",
        "event.type",
        "other == 1",
        "event.data.tags[7] == 1",
        "event.data.total + 'x' == 1",
        "1 / 0 == 1",
        "9223372036854775807 + 1 > 0",
        "event.data.total > 'x'",
        "event.data.tags.all(x, x > 1)",
        "false && event.missing",
        "'1' == 1",
        "[1] == {'a': 1}",
    ] {
        assert!(!holds(rule), "{rule}");
    }
}

#[test]
fn what_does_not_parse_is_refused() {
    for wrong in [
        "",
        "event.type ==",
        "((",
        "event..x",
        "'",
        "a b",
        "1 +",
        "[1",
        "{1}",
        "f(1)",
        "x.f()",
        "size()",
        "has(x)",
        "x.all(1, true)",
        "x.exists(a)",
        "x.exists(a, b, c)",
        "'a'.matches(event.type)",
        "'a'.matches('(')",
        "a ? b",
        "a = 1",
        "a & b",
        "b'x'",
        "-9223372036854775809",
        "x.",
        "x[1",
        "in",
        "!",
        "1 in",
        "'\\q'",
    ] {
        assert!(Rule::new(wrong, "/x".into()).is_err(), "{wrong}");
    }
}

/// Expressions that guests have sent or might: each is refused when it is read, or ends within the budget.
fn hostile() -> Vec<String> {
    let around = |open: &str, inner: &str, close: &str, times: usize| {
        format!("{}{inner}{}", open.repeat(times), close.repeat(times))
    };
    let list = "[1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16]";
    let nested = |method: &str, depth: usize| {
        let open: String = (0..depth)
            .map(|n| format!("event.data.list.{method}(x{n}, "))
            .collect();
        format!("{open}true{}", ")".repeat(depth))
    };
    let doubled = |times: usize| {
        format!(
            "[event.data.text]{}.size() > 0",
            ".map(x, x + x)".repeat(times)
        )
    };
    let mut rules = vec![
        vec!["1"; 1400].join("+"),
        vec!["true"; 500].join("&&"),
        vec!["event.type == 'a'"; 180].join(" || "),
        around("(", "1", ")", 2000),
        around("(", "1", ")", 20),
        around("[", "1", "]", 2000),
        around("{1:", "1", "}", 1000),
        around("size(", "event", ")", 600),
        around("event[", "0", "]", 600),
        around("-", "1", "", 4000),
        around("!", "true", "", 4000),
        around("true?", "1", ":1", 600),
        format!("event{}", ".a".repeat(2000)),
        format!("event{}", "[0]".repeat(1300)),
        format!("event{}", ".size()".repeat(500)),
        "(".repeat(4096),
        "a.b(".repeat(1000),
        "'".repeat(4095),
        format!("'{}' == event.type", "x".repeat(4000)),
        format!("{list}.map(a, {list}.map(b, {list})).size() > 0"),
        format!("{list}{}", format!(".map(a, {list})").repeat(60)),
        format!("{list}{}", format!(" + {list}").repeat(80)),
        doubled(30),
        doubled(200),
        format!("event.data.text.matches('{}')", "(a*)*".repeat(100)),
        "event.data.text.matches('((a{1,100}){1,100}){1,100}')".to_owned(),
        r"event.data.text.matches('(x+x+)+y')".to_owned(),
        "event.data.list.all(x, event.data.text.contains(event.data.text))".to_owned(),
        "event.data.list.all(x, event.data.text == event.data.text)".to_owned(),
        "event.data.list.all(x, event.data == event.data)".to_owned(),
        "event.data.list.all(x, x in event.data.list)".to_owned(),
        "event.data.list.all(x, event.data.text.matches('[a-z]+$'))".to_owned(),
        "event.data.list.map(x, event.data.list + event.data.list).size() > 0".to_owned(),
        "event.data.list.map(x, event.data.text + event.data.text).size() > 0".to_owned(),
        "event.data.list.map(x, string(x) + event.data.text)".to_owned(),
        "duration(event.data.text) > duration('1s') || int(event.data.text) > 1".to_owned(),
        "\u{0}".repeat(100),
        "event.type == '\u{202e}'".to_owned(),
    ];
    for method in ["all", "exists", "map", "filter", "exists_one"] {
        rules.extend([1, 2, 3, 8, 60].map(|depth| nested(method, depth)));
    }
    rules
}

#[test]
fn no_rule_can_hang_exhaust_or_end_the_process() {
    let event = json!({"type": "t", "data": {
        "list": (0..200_000).collect::<Vec<_>>(), "text": "x".repeat(2_000_000),
    }});
    // Half of what the smallest of our threads has.
    let work = thread::Builder::new()
        .stack_size(1024 * 1024)
        .spawn(move || {
            let mut slowest = Duration::ZERO;
            for text in hostile() {
                let started = Instant::now();
                if let Ok(rule) = Rule::new(&text, "/x".into()) {
                    let _ = is_true(&rule, &event);
                }
                slowest = slowest.max(started.elapsed());
            }
            slowest
        });
    let slowest = work.unwrap().join().unwrap();
    // Milliseconds in truth; a loaded machine and a debug build have their share.
    assert!(slowest < Duration::from_secs(5), "{slowest:?}");
}

#[test]
fn nested_comprehensions_deep_brackets_and_large_patterns_are_refused_by_name() {
    let refused = |text: &str| Rule::new(text, "/x".into()).unwrap_err();
    assert!(refused("a.all(x, a.all(y, a.all(z, true)))").contains("nests all"));
    assert!(refused(&"(".repeat(100)).contains("deep"));
    assert!(refused(&"1+".repeat(3000)).contains("longer than"));
    assert!(refused("'a'.matches('(a{1,100}){1,100}')").contains("too large"));
}

#[test]
fn an_evaluation_beyond_its_budget_is_told_from_one_that_is_false() {
    let event = json!({"data": (0..1000).collect::<Vec<_>>()});
    let rule = Rule::new(
        "event.data.all(x, event.data.exists(y, y == x))",
        "/x".into(),
    )
    .unwrap();
    let error = is_true(&rule, &event).unwrap_err();
    assert!(error.to_string().contains("event.data.exists"), "{error}");
    // Neither `||` nor a comprehension hides it.
    let rule = Rule::new(
        "event.data.all(x, event.data.exists(y, y == x)) || true",
        "/x".into(),
    )
    .unwrap();
    assert!(is_true(&rule, &event).is_err());
    // What a rule usually does is far from it.
    let rule = Rule::new(
        "event.data.exists(x, x == 999) && event.data.all(x, x >= 0)",
        "/x".into(),
    )
    .unwrap();
    assert_eq!(is_true(&rule, &event), Ok(true));
}

#[test]
fn many_rules_share_one_budget() {
    let event = json!({"data": (0..1000).collect::<Vec<_>>()});
    let rule = |_| {
        Rule::new(
            "event.data.all(x, x < 0 || x > 1 || x < 2) && false",
            "/x".into(),
        )
        .unwrap()
    };
    let rules: Vec<_> = (0..200).map(rule).collect();
    assert!(first_that_holds(&rules, &event).is_err());
    assert!(first_that_holds(&rules[..2], &event).unwrap().is_none());
}

/// Expressions of random words, of which some are rules.
#[test]
fn no_expression_panics() {
    #[rustfmt::skip]
    const WORDS: &[&str] = &[
        "event", "event.data", "event.data.list", "event.data.text", ".size()", ".all(x, ", ".exists(x, ",
        ".exists_one(x, ", ".filter(x, ", ".map(x, ", ".map(x, true, ", "x", "y", "(", ")", "[", "]", "{", "}",
        ",", ":", "?", "&&", "||", "!", "-", "+", "*", "/", "%", "==", "!=", "<", "<=", ">", ">=", " in ", "has(",
        "event.type", "'a'", "\"ä\"", "'''x'''", "r'\\'", "1", "0", "9223372036854775807", "-9223372036854775808",
        "2u", "0xff", "1.5", "1e308", ".5", "true", "false", "null", "int(", "uint(", "double(", "string(",
        "bool(", "dyn(", "timestamp(", "duration(", "'1h'", "'2026-01-01T00:00:00Z'", "'-9223372036854775s'",
        ".getHours()", ".getFullYear()", ".matches('(a|b)*c')", ".matches(", ".contains(", ".startsWith(",
        ".endsWith('')", ".field", "[0]", "['list']", " ", "\n", "// c\n", "b'x'", "'\\u00e4'", "'\\777'", "\\",
        "'", "𝄞", "matches('a', 'a')", "size(",
    ];
    let list: Vec<i64> = (0..2000).collect();
    let event = json!({"type": "t", "data": {"list": list, "text": "ab".repeat(50_000), "deep": [[[{"a": {}}]]]}});
    let mut random = fastrand::Rng::with_seed(7);
    let mut valid = 0;
    for _ in 0..20_000 {
        let words = (0..random.usize(1..14)).filter_map(|_| random.choice(WORDS).copied());
        let mut text: String = words.collect();
        let open = text.matches('(').count();
        text.push_str(&")".repeat(open.saturating_sub(text.matches(')').count())));
        if let Ok(rule) = Rule::new(&text, "/".to_owned()) {
            valid += 1;
            let _ = is_true(&rule, &event);
        }
    }
    assert!(valid > 500, "{valid} are rules");
}

#[test]
fn conversions_are_paid_for() {
    let event = json!({"list": (0..20_000).collect::<Vec<_>>()});
    for costly in [
        "event.list.map(x, string(1e308)).size() == 1",
        "event.list.map(x, duration('1h1m1s1ms1us1ns1h1m1s1ms1us1ns1h1m1s')).size() == 1",
        "event.list.map(x, timestamp('2026-01-01T00:00:00Z')).size() == 1",
        "event.list.map(x, double('1.7976931348623157e308')).size() == 1",
    ] {
        let rule = Rule::new(costly, "/x".into()).unwrap();
        assert!(is_true(&rule, &event).is_err(), "{costly}");
    }
}
