//! The types with which a component imports an interface: drafts change without changing their names.

use wasmtime::component::{
    Component,
    types::{ComponentItem, Type},
};

/// The type that a function of an imported interface answers with, if it is imported.
pub(super) fn result_of(component: &Component, interface: &str, function: &str) -> Option<Type> {
    let engine = component.engine();
    let imports = component.component_type();
    let ComponentItem::ComponentInstance(instance) = imports.get_import(engine, interface)?.ty else {
        return None;
    };
    match instance.get_export(engine, function)?.ty {
        ComponentItem::ComponentFunc(function) => function.results().next(),
        _ => None,
    }
}
