use super::*;

fn survey(text: &str) -> Survey {
    Survey::parse(&wat::parse_str(text).unwrap()).unwrap()
}

#[test]
fn the_names_of_the_outermost_component_are_told() {
    let survey = survey(
        r#"(component
            (import "a:b/c@0.2.0" (instance (export "f" (func))))
            (import "with:nothing/in-it" (instance))
            (component (import "not:this/one" (instance (export "f" (func)))))
            (instance $i) (export "d:e/f@1.0.0" (instance $i)))"#,
    );
    assert_eq!(survey.imports, ["a:b/c@0.2.0"]);
    assert_eq!(survey.exports, ["d:e/f@1.0.0"]);
    assert!(!survey.has_code);
}

#[test]
fn memory_counts_as_often_as_it_is_instantiated_and_no_more() {
    let survey = survey(
        r#"(component
            (core module $unused (memory 1000))
            (core module $two (memory 2) (table 100 funcref) (data (i32.const 0) "abc") (data "passive"))
            (component $inner
                (core module $one (memory 1))
                (core instance (instantiate $one)))
            (core instance (instantiate $two))
            (core instance (instantiate $two))
            (instance (instantiate $inner)))"#,
    );
    assert_eq!(survey.start.memory, (2 * 2 + 1) * 65_536 + 2 * 100 * 8);
    assert_eq!(survey.start.core_instances, 3);
    assert_eq!(survey.start.components, 1);
    assert_eq!(survey.start.memories, 3);
    assert_eq!(survey.start.tables, 2);
    assert_eq!(survey.active_data, 3);
    assert!(survey.has_code);
}

#[test]
fn a_module_counts_as_itself_under_another_name_and_as_the_largest_when_it_comes_as_a_value() {
    let outer = survey(
        r#"(component $all
            (core module $m (memory 0) (memory 0) (global i64 (i64.const 1)))
            (component $inner
                (alias outer $all $m (core module $m))
                (core instance (instantiate $m)))
            (instance (instantiate $inner))
            (instance (instantiate $inner)))"#,
    );
    assert_eq!(outer.start.memories, 4);
    assert_eq!(outer.start.globals, 2 * GLOBAL_BYTES);
    let value = survey(
        r#"(component
            (component $inner
                (import "m" (core module $m))
                (core instance (instantiate $m)))
            (core module $m (memory 0) (memory 0))
            (instance (instantiate $inner (with "m" (core module $m)))))"#,
    );
    assert_eq!(value.start.memories, 2);
    assert!(!value.start.is_unknown);
}

#[test]
fn what_a_component_that_comes_as_a_value_holds_is_not_known() {
    let survey = survey(
        r#"(component
            (component $inner
                (import "c" (component $c))
                (instance (instantiate $c)))
            (component $c)
            (instance (instantiate $inner (with "c" (component $c)))))"#,
    );
    assert!(survey.start.is_unknown);
}

#[test]
fn an_interface_of_which_only_types_are_named_needs_nothing_of_the_host() {
    let component = r#"(component
        (import "a:types/only@0.3.0" (instance $types
            (type $code (enum "one" "two"))
            (export "code" (type (eq $code)))))
        (alias export $types "code" (type $code))
        (import "a:types/alias@0.3.0" (instance
            (alias outer 1 $code (type $code))
            (export "code" (type (eq $code)))))
        (import "a:resource/type@0.3.0" (instance (export "thing" (type (sub resource)))))
        (import "a:function/too@0.3.0" (instance
            (export "code" (type (eq $code)))
            (export "run" (func))))
        (import "nothing" (instance))
        (import "just-a-type" (type (eq $code)))
        (import "a-resource" (type (sub resource)))
        (import "run" (func)))"#;
    let survey = Survey::parse(&wat::parse_str(component).unwrap()).unwrap();
    let needed = [
        "a:resource/type@0.3.0",
        "a:function/too@0.3.0",
        "a-resource",
        "run",
    ];
    assert_eq!(survey.imports, needed);
}
