//! What a component says of itself: its imports and exports, by name.

use selvedge_artifact::ComponentSummary;
use wasmparser::{Encoding, Parser, Payload};

/// Why bytes are no component.
#[derive(Debug, thiserror::Error)]
pub(super) enum ComponentError {
    #[error("it is native code: publish the component that it was compiled from")]
    Native,
    #[error("it is a core module, not a component; build it for `wasm32-wasip2`")]
    Module,
    #[error("it is not WebAssembly")]
    NotWasm,
    #[error("it is not a component that can be read")]
    Malformed(#[from] wasmparser::BinaryReaderError),
}

/// The imports and exports of the component in `bytes`. Nothing else of it is
/// looked at, and nothing of it runs.
pub(super) fn summary(bytes: &[u8]) -> Result<ComponentSummary, ComponentError> {
    if bytes.starts_with(b"\x7fELF") {
        return Err(ComponentError::Native);
    }
    if !bytes.starts_with(b"\0asm") {
        return Err(ComponentError::NotWasm);
    }
    let mut summary = ComponentSummary::default();
    let mut depth = 0_u32;
    for payload in Parser::new(0).parse_all(bytes) {
        match payload? {
            Payload::Version {
                encoding: Encoding::Module,
                ..
            } if depth == 0 => return Err(ComponentError::Module),
            Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => depth += 1,
            Payload::End(_) => depth = depth.saturating_sub(1),
            Payload::ComponentImportSection(section) if depth == 0 => {
                for import in section {
                    summary.imports.push(import?.name.name.to_owned());
                }
            }
            Payload::ComponentExportSection(section) if depth == 0 => {
                for export in section {
                    summary.exports.push(export?.name.name.to_owned());
                }
            }
            _ => {}
        }
    }
    Ok(summary)
}

#[cfg(test)]
mod tests {
    use super::{ComponentError, summary};

    #[test]
    fn imports_and_exports_are_named() {
        let text = r#"(component
            (import "selvedge:bus/publisher@0.1.0" (instance))
            (component (import "inner" (func)))
            (core module)
            (instance $i)
            (export "selvedge:plugin/guest@0.1.0" (instance $i)))"#;
        let found = summary(&wat::parse_str(text).unwrap()).unwrap();
        assert_eq!(found.imports, ["selvedge:bus/publisher@0.1.0"]);
        assert_eq!(found.exports, ["selvedge:plugin/guest@0.1.0"]);
    }

    #[test]
    fn what_is_no_component_is_named() {
        let module = wat::parse_str("(module)").unwrap();
        assert!(matches!(summary(&module), Err(ComponentError::Module)));
        assert!(matches!(summary(b"\x7fELF"), Err(ComponentError::Native)));
        assert!(matches!(summary(b"text"), Err(ComponentError::NotWasm)));
    }
}
