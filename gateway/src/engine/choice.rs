//! Which engine suits a component.

use std::fmt;

use wasmparser::{DataKind, Parser, Payload};

use super::EngineKind;

/// Active data that is copied into memory at each instantiation takes about 70 µs a megabyte; mapping it
/// copy-on-write costs page faults and interrupts to other cores instead, which is as much at about this size.
const COPY_ON_WRITE_BYTES: u64 = 1 << 20;

/// An engine and the reason for it.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Choice {
    /// The engine.
    pub engine: EngineKind,
    /// Why, for people.
    pub reason: String,
}

impl fmt::Display for Choice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.engine.name(), self.reason)
    }
}

/// The engine for a component: what the configuration asks for, otherwise what its data segments suggest.
///
/// # Errors
/// When the bytes cannot be read as WebAssembly; the compiler will say it better.
pub fn choose(
    component: &[u8],
    wanted: Option<EngineKind>,
) -> Result<Choice, wasmparser::BinaryReaderError> {
    if let Some(engine) = wanted {
        return Ok(Choice {
            engine,
            reason: "the configuration asks for it".to_owned(),
        });
    }
    let bytes = active_data(component)?;
    let engine = if bytes > COPY_ON_WRITE_BYTES {
        EngineKind::CopyOnWrite
    } else {
        EngineKind::Pool
    };
    Ok(Choice {
        engine,
        reason: format!("{bytes} bytes of data to copy for each instance"),
    })
}

/// Bytes of all data segments that are copied at instantiation, over all modules in the component.
fn active_data(component: &[u8]) -> Result<u64, wasmparser::BinaryReaderError> {
    let mut bytes = 0;
    for payload in Parser::new(0).parse_all(component) {
        if let Payload::DataSection(segments) = payload? {
            for segment in segments {
                let segment = segment?;
                if matches!(segment.kind, DataKind::Active { .. }) {
                    bytes += segment.data.len() as u64;
                }
            }
        }
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn component(data: usize) -> Vec<u8> {
        let text = "x".repeat(data);
        wat::parse_str(format!(
            r#"(component (core module (memory 64) (data (i32.const 0) "{text}") (data "passive")))"#
        ))
        .unwrap()
    }

    #[test]
    fn a_component_with_more_data_than_a_megabyte_is_mapped_copy_on_write() {
        let small = choose(&component(1000), None).unwrap();
        assert_eq!(small.engine, EngineKind::Pool);
        assert!(small.reason.starts_with("1000 bytes"), "{}", small.reason);
        let large = choose(&component((1 << 20) + 1), None).unwrap();
        assert_eq!(large.engine, EngineKind::CopyOnWrite);
    }

    #[test]
    fn what_the_configuration_asks_for_is_not_weighed() {
        let choice = choose(&component(0), Some(EngineKind::CopyOnWrite)).unwrap();
        assert_eq!(choice.engine, EngineKind::CopyOnWrite);
    }
}
