//! Every item of our WIT says what it is.

use super::assert_none;
use super::sources::{Source, files};

/// Lines that need no documentation: what they name is documented elsewhere.
const FREE: &[&str] = &["package ", "use ", "import ", "export ", "include ", "@"];

fn documentation_faults(source: &Source) -> Vec<String> {
    let mut faults = Vec::new();
    let mut is_documented = false;
    let mut goes_on = false;
    for (number, line) in (1..).zip(source.text.lines()) {
        let line = line.trim();
        if let Some(text) = line.strip_prefix("///") {
            is_documented = !text.trim().is_empty() || is_documented;
            continue;
        }
        let is_item = !line.is_empty() && !line.starts_with("//") && !line.starts_with('}');
        let is_free = FREE.iter().any(|word| line.starts_with(word));
        if is_item && !goes_on && !is_free && !is_documented {
            faults.push(format!(
                "{}:{number}: not documented: `{line}`",
                source.path
            ));
        }
        if is_item && !line.starts_with('@') {
            is_documented = false;
            goes_on = !line.ends_with([';', ',', '{', '}']) || (goes_on && line.ends_with(','));
        } else if !line.starts_with('@') {
            is_documented = false;
            goes_on = false;
        }
    }
    faults
}

#[test]
fn every_item_of_the_contract_is_documented() {
    let ours: Vec<_> = files(&["wit"], "wit")
        .into_iter()
        .filter(|source| !source.path.starts_with("wit/deps/"))
        .collect();
    assert!(ours.len() >= 2, "the contract was not found");
    let faults: Vec<_> = ours.iter().flat_map(documentation_faults).collect();
    assert_none(&faults);
}

#[test]
fn an_undocumented_item_is_found_wherever_it_is() {
    let good = "package a:b;\n\n/// I.\ninterface i {\n    use t.{m};\n\n    /// R.\n    record r {\n        \
                /// F.\n        f: u32,\n    }\n\n    /// E.\n    enum e {\n        /// C.\n        c,\n    }\n\n    \
                /// G.\n    g: func(\n        a: u32,\n        b: u32,\n    ) -> result;\n}\n\n/// W.\nworld w {\n    \
                import i;\n}\n";
    let faults = |text: &str| documentation_faults(&Source::snippet("wit/a.wit", text));
    assert_eq!(faults(good), [""; 0]);
    for item in ["I", "R", "F", "E", "C", "G", "W"] {
        let bad = good.replace(&format!("/// {item}.\n"), "\n");
        assert_eq!(faults(&bad).len(), 1, "{item}: {:?}", faults(&bad));
    }
}
