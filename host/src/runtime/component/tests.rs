use super::{COMPONENT_BYTES_MAX, ComponentError, Declared, NAMES_MAX, describe, summary};

fn wat(text: &str) -> Vec<u8> {
    wat::parse_str(text).unwrap()
}

#[test]
fn imports_and_exports_are_named() {
    let text = r#"(component
        (import "selvedge:bus/publisher@0.1.0" (instance))
        (component (import "inner" (func)))
        (core module)
        (instance $i)
        (export "selvedge:plugin/guest@0.1.0" (instance $i)))"#;
    let found = summary(&wat(text)).unwrap();
    assert_eq!(found.imports, ["selvedge:bus/publisher@0.1.0"]);
    assert_eq!(found.exports, ["selvedge:plugin/guest@0.1.0"]);
}

#[test]
fn what_is_no_component_is_named() {
    let module = wat("(module)");
    assert!(matches!(summary(&module), Err(ComponentError::Module)));
    assert!(matches!(summary(b"\x7fELF"), Err(ComponentError::Native)));
    assert!(matches!(summary(b"text"), Err(ComponentError::NotWasm)));
    let large = vec![0; COMPONENT_BYTES_MAX + 1];
    assert!(matches!(summary(&large), Err(ComponentError::TooLarge(_))));
}

#[test]
fn too_many_or_too_long_names_are_refused() {
    let imports: String = (0..=NAMES_MAX)
        .map(|index| format!("(import \"i{index}\" (func))"))
        .collect();
    let many = wat(&format!("(component {imports})"));
    assert!(matches!(summary(&many), Err(ComponentError::TooMany)));
    let long = wat(&format!(
        "(component (import \"{}\" (func)))",
        "a".repeat(600)
    ));
    assert!(matches!(summary(&long), Err(ComponentError::LongName)));
}

/// Whatever is cut off or changed, the answer is an answer.
#[test]
fn damaged_components_are_errors() {
    let whole = wat(r#"(component
        (core module $m (func (export "tick") (result i32) (i32.const 1)))
        (core instance $m (instantiate $m))
        (func $tick (result u32) (canon lift (core func $m "tick")))
        (instance $ticker (export "tick" (func $tick)))
        (export "selvedge:plugin/ticker@0.1.0" (instance $ticker)))"#);
    // What ends where a section does is a component, though a smaller one.
    let mut refused = 0;
    for end in 4..whole.len() {
        refused += usize::from(describe(&whole[..end]).is_err());
    }
    assert!(refused > whole.len() / 2, "{refused} of {}", whole.len());
    let mut refused = 0;
    for at in 4..whole.len() {
        for bit in 0..8 {
            let mut damaged = whole.clone();
            damaged[at] ^= 1 << bit;
            refused += u32::from(describe(&damaged).is_err());
        }
    }
    assert!(refused > 500, "{refused} of {}", whole.len() * 8);
}

/// Whether `function`, a function type in the text format, is well typed as the
/// export `name` of `interface`.
fn well_typed(interface: &str, name: &str, function: &str) -> Option<bool> {
    let text = format!(
        r#"(component (import "f" (func $f {function}))
            (instance $i (export "{name}" (func $f)))
            (export "{interface}" (instance $i)))"#
    );
    let functions = describe(&wat(&text)).unwrap().functions;
    let named = functions.iter().find(|declared| declared.name == name);
    named.map(|Declared { well_typed, .. }| *well_typed)
}

#[test]
fn exports_are_compared_with_the_contract() {
    let ticker = "selvedge:plugin/ticker@0.1.0";
    let tick = "(result (result (option u32) (error string)))";
    for (interface, name, function, expected) in [
        (ticker, "tick", tick, Some(true)),
        ("selvedge:plugin/ticker@0.1.7", "tick", tick, Some(true)),
        ("selvedge:plugin/ticker@0.2.0", "tick", tick, None),
        (ticker, "tock", tick, None),
        (ticker, "tick", "(result u32)", Some(false)),
        (ticker, "tick", "", Some(false)),
        (
            ticker,
            "tick",
            "(param \"a\" u32) (result (result (option u32) (error string)))",
            Some(false),
        ),
        (
            ticker,
            "tick",
            "(result (result (option u64) (error string)))",
            Some(false),
        ),
        (
            ticker,
            "tick",
            "(result (result (option u32)))",
            Some(false),
        ),
        (
            "selvedge:plugin/lifecycle@0.1.0",
            "init",
            "(result (result (error string)))",
            Some(true),
        ),
    ] {
        assert_eq!(
            well_typed(interface, name, function),
            expected,
            "{interface} {function}"
        );
    }
}

/// Types nested into each other many times over, which written out would be
/// longer than any memory.
#[test]
fn types_that_multiply_cost_nothing() {
    let mut types = "(type $t0 (tuple u32 u32))".to_owned();
    for level in 1..40 {
        let before = level - 1;
        types += &format!("(type $t{level} (tuple $t{before} $t{before}))");
    }
    let text = format!(
        r#"(component {types} (import "f" (func $f (result $t39)))
            (instance $i (export "tick" (func $f)))
            (export "selvedge:plugin/ticker@0.1.0" (instance $i)))"#
    );
    match describe(&wat(&text)) {
        Ok(described) => assert!(!described.functions[0].well_typed),
        Err(error) => assert!(matches!(error, ComponentError::Malformed(_)), "{error}"),
    }
}
