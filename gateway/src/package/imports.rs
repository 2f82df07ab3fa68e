//! The imports of a component that a host must implement: not those that only name types of an interface, as bindings
//! for partly used worlds leave behind.

use wasmparser::{
    BinaryReaderError, ComponentAlias, ComponentExternalKind, ComponentOuterAliasKind, ComponentType, ComponentTypeRef,
    InstanceTypeDeclaration, Payload, TypeBounds,
};

/// Collects imports while a component's sections are parsed.
#[derive(Debug, Default)]
pub(super) struct Imports {
    names: Vec<String>,
    /// By type index: whether it is an instance type with only types.
    is_of_types: Vec<bool>,
}

impl Imports {
    /// Processes a section of the outermost component.
    ///
    /// # Errors
    /// When it is malformed.
    pub(super) fn read(&mut self, payload: &Payload<'_>) -> Result<(), BinaryReaderError> {
        match payload {
            Payload::ComponentTypeSection(types) => {
                for ty in types.clone() {
                    self.is_of_types.push(is_of_types(&ty?));
                }
            }
            Payload::ComponentAliasSection(aliases) => {
                for alias in aliases.clone() {
                    if is_type(&alias?) {
                        self.is_of_types.push(false);
                    }
                }
            }
            Payload::ComponentImportSection(imports) => {
                for import in imports.clone() {
                    let import = import?;
                    match import.ty {
                        ComponentTypeRef::Instance(index) if self.needs_nothing(index) => continue,
                        ComponentTypeRef::Type(bounds) => {
                            self.is_of_types.push(false);
                            if let TypeBounds::Eq(_) = bounds {
                                continue;
                            }
                        }
                        _ => {}
                    }
                    self.names.push(import.name.name.to_owned());
                }
            }
            Payload::ComponentExportSection(exports) => {
                for export in exports.clone() {
                    if export?.kind == ComponentExternalKind::Type {
                        self.is_of_types.push(false);
                    }
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// Their names.
    pub(super) fn into_names(self) -> Vec<String> {
        self.names
    }

    fn needs_nothing(&self, index: u32) -> bool {
        let known = usize::try_from(index)
            .ok()
            .and_then(|index| self.is_of_types.get(index));
        known.copied().unwrap_or_default()
    }
}

fn is_type(alias: &ComponentAlias<'_>) -> bool {
    match alias {
        ComponentAlias::InstanceExport { kind, .. } => *kind == ComponentExternalKind::Type,
        ComponentAlias::Outer { kind, .. } => *kind == ComponentOuterAliasKind::Type,
        ComponentAlias::CoreInstanceExport { .. } => false,
    }
}

/// Returns whether a type is an instance type with only types, none of them a resource.
fn is_of_types(ty: &ComponentType<'_>) -> bool {
    let ComponentType::Instance(declarations) = ty else {
        return false;
    };
    declarations
        .iter()
        .filter_map(|declaration| match declaration {
            InstanceTypeDeclaration::Export { ty, .. } => Some(*ty),
            _ => None,
        })
        .all(|ty| matches!(ty, ComponentTypeRef::Type(TypeBounds::Eq(_))))
}
