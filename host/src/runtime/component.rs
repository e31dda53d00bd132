//! What a component says of itself, read without compiling it.
//!
//! Bytes in, names and types out: what it imports, what it exports, and whether
//! the functions that the host calls have the contract's types. Function bodies
//! are not looked at; that is the compiler's business. Whether it may have what
//! it imports is [`super::admission`]'s.

mod shape;

use std::panic::{AssertUnwindSafe, catch_unwind};

use selvedge_artifact::ComponentSummary;
use wasmparser::component_types::ComponentEntityType;
use wasmparser::types::Types;
use wasmparser::{Encoding, Parser, Payload, ValidPayload, Validator};

use crate::capabilities::foreign_text::fit;

/// Bytes of a component that is looked at.
pub const COMPONENT_BYTES_MAX: usize = 64 << 20;
/// Imports and exports of a component.
const NAMES_MAX: usize = 1_000;
/// Bytes of the name of one of them.
const NAME_BYTES_MAX: usize = 512;
/// Bytes of what the parser says of bytes that it cannot read.
const REASON_BYTES_MAX: usize = 256;

/// Why bytes are no component.
#[derive(Debug, thiserror::Error)]
pub enum ComponentError {
    #[error("it has {0} bytes; {COMPONENT_BYTES_MAX} are allowed")]
    TooLarge(usize),
    #[error("it is native code: publish the component that it was compiled from")]
    Native,
    #[error("it is a core module, not a component; build it for `wasm32-wasip2`")]
    Module,
    #[error("it is not WebAssembly")]
    NotWasm,
    #[error("it is not a component that can be read: {0}")]
    Malformed(String),
    #[error("it imports or exports more than {NAMES_MAX} things")]
    TooMany,
    #[error("an import or export has a name of more than {NAME_BYTES_MAX} bytes")]
    LongName,
    #[error("the parser failed on it")]
    Parser,
}

/// What a component imports and exports.
#[derive(Debug, Default)]
pub(super) struct Described {
    pub(super) summary: ComponentSummary,
    /// Functions of the contract, in the order of [`CONTRACT`].
    pub(super) functions: Vec<Declared>,
}

/// A function that the host calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ContractFunction {
    pub(super) name: &'static str,
    pub(super) interface: &'static str,
    /// Its type, as [`shape`] writes it.
    pub(super) shape: &'static str,
}

/// A function of the contract that a component exports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Declared {
    pub(super) name: &'static str,
    /// Whether it has the contract's type.
    pub(super) well_typed: bool,
}

/// Of `selvedge:bus/types`.
macro_rules! message {
    () => {
        "record{topic:string,payload:list<u8>,content-type:option<string>,\
         published-at:u64,retain:bool,reply-to:option<string>,correlation:option<list<u8>>,\
         properties:list<tuple<string,string>>}"
    };
}

/// All functions that the host calls.
pub(super) const CONTRACT: [ContractFunction; 7] = [
    function(
        "init",
        "selvedge:plugin/lifecycle@0.1.0",
        "func()->result<_,string>",
    ),
    function(
        "handle",
        "selvedge:bus/subscriber@0.1.0",
        concat!(
            "func(list<",
            message!(),
            ">)->result<_,list<record{index:u32,",
            "disposition:variant{retry(string),reject(string)}}>>"
        ),
    ),
    function(
        "tick",
        "selvedge:plugin/ticker@0.1.0",
        "func()->result<option<u32>,string>",
    ),
    function(
        "run",
        "selvedge:plugin/service@0.1.0",
        "func()->result<_,string>",
    ),
    function(
        "snapshot",
        "selvedge:plugin/stateful@0.1.0",
        "func()->record{schema:u32,data:list<u8>}",
    ),
    function(
        "restore",
        "selvedge:plugin/stateful@0.1.0",
        "func(record{schema:u32,data:list<u8>})->result<_,string>",
    ),
    function(
        "authorize",
        "selvedge:plugin/authorizer@0.1.0",
        "func(record{device:option<string>,client-id:string,username:option<string>,\
         password:option<list<u8>>,address:string})->result<record{device:string,\
         publish:option<list<string>>,subscribe:option<list<string>>,\
         valid-s:option<u32>},string>",
    ),
];

const fn function(
    name: &'static str,
    interface: &'static str,
    shape: &'static str,
) -> ContractFunction {
    ContractFunction {
        name,
        interface,
        shape,
    }
}

/// The imports and exports of the component in `bytes`. Nothing of it runs.
///
/// # Errors
///
/// If it is no component, or more than is looked at.
pub fn summary(bytes: &[u8]) -> Result<ComponentSummary, ComponentError> {
    describe(bytes).map(|described| described.summary)
}

/// The same, with the functions of the contract.
pub(super) fn describe(bytes: &[u8]) -> Result<Described, ComponentError> {
    if bytes.len() > COMPONENT_BYTES_MAX {
        return Err(ComponentError::TooLarge(bytes.len()));
    }
    if bytes.starts_with(b"\x7fELF") {
        return Err(ComponentError::Native);
    }
    if !bytes.starts_with(b"\0asm") {
        return Err(ComponentError::NotWasm);
    }
    // A bug of the parser is this component's failure, not the host's.
    let read = AssertUnwindSafe(|| read(bytes));
    catch_unwind(read).unwrap_or(Err(ComponentError::Parser))
}

fn read(bytes: &[u8]) -> Result<Described, ComponentError> {
    let mut validator = Validator::new();
    let mut summary = ComponentSummary::default();
    let mut depth = 0_u32;
    for payload in Parser::new(0).parse_all(bytes) {
        let payload = payload.map_err(malformed)?;
        let of_component = depth == 0;
        match &payload {
            Payload::Version {
                encoding: Encoding::Module,
                ..
            } if of_component => return Err(ComponentError::Module),
            Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => depth += 1,
            Payload::End(_) => depth = depth.saturating_sub(1),
            Payload::ComponentImportSection(section) if of_component => {
                for import in section.clone() {
                    keep(&mut summary.imports, import.map_err(malformed)?.name.name)?;
                }
            }
            Payload::ComponentExportSection(section) if of_component => {
                for export in section.clone() {
                    keep(&mut summary.exports, export.map_err(malformed)?.name.name)?;
                }
            }
            _ => {}
        }
        match validator.payload(&payload).map_err(malformed)? {
            ValidPayload::End(types) if of_component => {
                let functions = declared(&summary, &types);
                return Ok(Described { summary, functions });
            }
            _ => {}
        }
    }
    Err(ComponentError::Malformed("it ends too early".to_owned()))
}

fn keep(names: &mut Vec<String>, name: &str) -> Result<(), ComponentError> {
    if names.len() == NAMES_MAX {
        return Err(ComponentError::TooMany);
    }
    if name.len() > NAME_BYTES_MAX {
        return Err(ComponentError::LongName);
    }
    // People read them on their terminals.
    names.push(fit(name, NAME_BYTES_MAX));
    Ok(())
}

fn malformed(error: wasmparser::BinaryReaderError) -> ComponentError {
    // The parser quotes what it reads.
    let reason = fit(&error.to_string(), REASON_BYTES_MAX);
    ComponentError::Malformed(reason)
}

/// The functions of the contract among its exports. Where several versions of
/// an interface would do, each counts: which one is called is the linker's choice.
fn declared(summary: &ComponentSummary, types: &Types) -> Vec<Declared> {
    let types = types.as_ref();
    let of_instance = |export: &String, function: &ContractFunction| {
        let item = types.component_item_for_export(export)?;
        let ComponentEntityType::Instance(instance) = item.ty else {
            return None;
        };
        let item = types.get(instance)?.exports.get(function.name)?;
        Some(shape::is(types, &item.ty, function.shape))
    };
    let find = |function: &ContractFunction| {
        let exports = summary.exports.iter();
        let versions = exports.filter(|export| is_version_of(export, function.interface));
        let found = versions.filter_map(|export| of_instance(export, function));
        let well_typed = found.reduce(|all, one| all && one)?;
        Some(Declared {
            name: function.name,
            well_typed,
        })
    };
    CONTRACT.iter().filter_map(find).collect()
}

/// Whether `export` is `interface` in a version that is compatible with it, as
/// the linker sees it: below 1.0, the same minor version.
fn is_version_of(export: &str, interface: &str) -> bool {
    let track = |name: &str| {
        let (name, version) = name.split_once('@')?;
        let (track, _) = version.rsplit_once('.')?;
        Some(format!("{name}@{track}"))
    };
    export == interface || track(export).is_some_and(|found| track(interface) == Some(found))
}

#[cfg(test)]
mod tests;
