//! What is taken out of components, and what is left.

use wasmparser::{DataKind, Parser, Payload};
use wasmtime::{Config, Engine, Instance, Module, Store};

use super::{
    super::binary::{COMPONENT, PREAMBLE_BYTES, leb128},
    taken::Taken,
};

const LARGE: usize = 200_000;

fn taken(text: &str) -> Option<Taken> {
    Taken::out_of(&wat::parse_str(text).unwrap()).unwrap()
}

fn large(byte: char) -> String {
    byte.to_string().repeat(LARGE)
}

#[test]
fn data_at_constant_places_becomes_an_image_and_the_rest_stays() {
    let (a, b) = (large('a'), large('b'));
    let imaged = taken(&format!(
        r#"(component
            (core module $small (memory 1) (data (i32.const 0) "few"))
            (component $inner
                (core module $m
                    (import "env" "base" (global $base i32))
                    (memory 10 20)
                    (data (i32.const 10) "{a}")
                    (data "passive")
                    (data (i32.const 20) "over")
                    (func (memory.init 1 (i32.const 0) (i32.const 0) (i32.const 1))))
                (core module $linked
                    (import "env" "base" (global $base i32))
                    (memory 11)
                    (data (global.get $base) "{b}"))))"#
    ))
    .unwrap();
    let [image] = imaged.images.try_into().ok().unwrap();
    assert_eq!(
        (image.memory.minimum_bytes, image.memory.maximum_pages),
        (10 << 16, Some(20))
    );
    assert_eq!(image.data, LARGE as u64 + 4);
    assert!(image.contents[LARGE + 10..].iter().all(|byte| *byte == 0));
    assert_eq!(&image.contents[..24], b"\0\0\0\0\0\0\0\0\0\0aaaaaaaaaaover");
    wasmparser::validate(&imaged.component).unwrap();
    assert!(
        imaged.component.len() < LARGE + 1000,
        "one module's data is left"
    );
    // In their order, so that the passive one is still the second of its module; what is taken out is copied by nobody.
    let (active, passive) = (true, false);
    let left = [
        (active, "few".len()),
        (passive, 0),
        (passive, "passive".len()),
        (passive, 0),
        (active, LARGE),
    ];
    assert_eq!(data_of(&imaged.component), left);
}

#[test]
fn where_no_instruction_names_a_segment_none_is_left_of_those_that_are_taken_out() {
    let a = large('a');
    let of = |code: &str| {
        let imaged = taken(&format!(
            r#"(component (core module
                (import "env" "base" (global $base i32))
                (memory 10)
                (memory 1)
                (data (i32.const 0) "{a}")
                (data (memory 1) (global.get $base) "other")
                (data (i32.const 7) "over")
                {code}))"#
        ));
        let component = imaged.unwrap().component;
        wasmparser::Validator::new_with_features(wasmparser::WasmFeatures::all())
            .validate_all(&component)
            .unwrap();
        data_of(&component)
    };
    let (other, empty) = ((true, "other".len()), (false, 0));
    assert_eq!(of(""), [other]);
    // Assembled with the number of segments, as what comes from LLVM is.
    assert_eq!(of("(func (i32.const 1) drop)"), [other]);
    for code in [
        "(func (data.drop 1))",
        "(func (memory.init 2 (i32.const 0) (i32.const 0) (i32.const 0)))",
    ] {
        assert_eq!(of(code), [empty, other, empty], "{code}");
    }
}

/// The data segments in a component: whether they are copied when an instance begins, and their bytes.
fn data_of(component: &[u8]) -> Vec<(bool, usize)> {
    let mut segments = Vec::new();
    for payload in Parser::new(0).parse_all(component) {
        if let Payload::DataSection(section) = payload.unwrap() {
            for segment in section {
                let segment = segment.unwrap();
                let is_active = matches!(segment.kind, DataKind::Active { .. });
                segments.push((is_active, segment.data.len()));
            }
        }
    }
    segments
}

#[test]
fn memories_that_cannot_be_told_apart_have_no_image() {
    let a = large('a');
    let both = format!(
        r#"(component
            (core module (memory 10) (data (i32.const 0) "{a}"))
            (core module (memory 10)))"#
    );
    assert!(taken(&both).is_none());
    assert!(taken(&both.replace("(memory 10)))", "(memory 11)))")).is_some());
}

#[test]
fn what_a_trap_or_a_shared_or_wide_memory_needs_stays_in_the_module() {
    let a = large('a');
    for (memory, place) in [
        ("2", "i32.const 0"),
        ("10", "i32.const -1"),
        ("i64 10", "i64.const 0"),
        ("10 10 shared", "i32.const 0"),
        ("10 (pagesize 1)", "i32.const 0"),
        ("65536", "i32.const 1073741824"),
    ] {
        let text = format!(r#"(component (core module (memory {memory}) (data ({place}) "{a}")))"#);
        assert!(taken(&text).is_none(), "{memory} {place}");
    }
}

#[test]
fn an_instance_of_the_rest_and_the_image_together_have_the_same_memory() {
    let a = large('a');
    let module =
        format!(r#"(module (memory (export "m") 10) (data (i32.const 100) "{a}") (data (i32.const 65536) "\00\ff"))"#);
    let engine = Engine::new(&Config::new()).unwrap();
    let component = format!("(component (core {}", &module[1..]) + ")";
    let imaged = taken(&component).unwrap();
    let [image] = imaged.images.try_into().ok().unwrap();
    let at = image.module;
    let original = wat::parse_str(&component).unwrap();
    assert_eq!(&original[at..at + 4], b"\0asm");
    let mut store = Store::new(&engine, ());
    let compiled = Module::new(&engine, wat::parse_str(&module).unwrap()).unwrap();
    let instance = Instance::new(&mut store, &compiled, &[]).unwrap();
    let memory = instance.get_memory(&mut store, "m").unwrap();
    let (data, rest) = memory.data(&store).split_at(image.contents.len());
    assert!(data == image.contents);
    assert!(rest.iter().all(|byte| *byte == 0));
}

#[test]
fn bytes_that_end_too_early_are_an_error_and_deep_ones_are_left_alone() {
    let bytes = wat::parse_str("(component (core module (memory 1)))").unwrap();
    for end in 0..bytes.len() {
        let _ = Taken::out_of(&bytes[..end]);
    }
    let mut deep = wat::parse_str("(component)").unwrap();
    for _ in 0..1000 {
        let mut outer = deep[..PREAMBLE_BYTES].to_vec();
        outer.push(COMPONENT);
        leb128(&mut outer, deep.len() as u64);
        outer.extend(&deep);
        deep = outer;
    }
    assert!(Taken::out_of(&deep).unwrap().is_none());
}
