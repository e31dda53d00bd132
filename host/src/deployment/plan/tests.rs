//! Plans of small deployments, as they print.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use proptest::prelude::*;
use selvedge_artifact::Want;

use super::{Change, ModelNeeds, Needs, Plan, Side, compare};
use crate::deployment::document::source::Source;
use crate::deployment::document::{Document, Site, ceilings::Ceilings};
use crate::names::{Digest, ModelName, PluginName};
use crate::spec::{BackendChoice, Target};

/// A deployment with what its components and models say.
#[derive(Debug)]
struct Deployed {
    document: Document,
    plugins: BTreeMap<PluginName, Needs>,
    models: BTreeMap<ModelName, ModelNeeds>,
}

impl Deployed {
    /// From the text of a document, without its name and version; its models lie
    /// in a folder of their own.
    fn new(text: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs_err::write(folder.path().join("oven.onnx"), "a model").unwrap();
        let text = format!("name = \"line\"\nversion = \"1.0.0\"\n{text}");
        let file = folder.path().join("line.toml");
        let source = Source::new(&file, text.into_bytes()).unwrap();
        let shipped = ["a", "b", "c"].map(|name| (name.parse().unwrap(), Digest::of(b"wasm")));
        let site = Site {
            ceilings: Ceilings::default(),
            message_bytes_max: 1 << 20,
            shipped: shipped.into(),
            plugin_directories: Vec::new(),
            uplinks: ["cloud".parse().unwrap()].into(),
        };
        let document = Document::check(&Arc::new(source), &site).unwrap().value;
        let needs = |name: &PluginName| (name.clone(), needs("0.1.0", &[], &[]));
        let model = |name: &ModelName| (name.clone(), model("a model"));
        Self {
            plugins: document.plugins.keys().map(needs).collect(),
            models: document.models.keys().map(model).collect(),
            document,
        }
    }

    fn with(mut self, plugin: &str, needs: Needs) -> Self {
        self.plugins.insert(plugin.parse().unwrap(), needs);
        self
    }

    fn side(&self) -> Side<'_> {
        Side {
            document: &self.document,
            plugins: &self.plugins,
            models: &self.models,
        }
    }
}

/// What a component of that version says, which wants `(kind, what)`.
fn needs(version: &str, imports: &[&str], wants: &[(&str, &str)]) -> Needs {
    let want = |(kind, what): &(&str, &str)| {
        let text = |of: &str| (*kind == of).then(|| (*what).to_owned());
        Want {
            publish: text("publish"),
            subscribe: text("subscribe"),
            tcp: text("tcp"),
            udp: text("udp"),
            model: text("model"),
            keyvalue_bytes_max: text("keyvalue_bytes_max").map(|bytes| bytes.parse().unwrap()),
            why: "it must".to_owned(),
        }
    };
    Needs {
        component: Digest::of(version.as_bytes()),
        artifact: Digest::of(format!("{version}{wants:?}").as_bytes()),
        version: version.to_owned(),
        imports: imports.iter().map(ToString::to_string).collect(),
        wants: wants.iter().map(want).collect(),
    }
}

fn model(file: &str) -> ModelNeeds {
    ModelNeeds {
        file: Digest::of(file.as_bytes()),
        golden: None,
        backend: BackendChoice::Tract,
        run: crate::spec::RunOptions::default(),
        artifact: None,
        shadow: None,
        target: Target::Cpu,
    }
}

fn plan(old: &Deployed, new: &Deployed) -> Plan {
    compare(Some(old.side()), new.side())
}

const LINE: &str = r#"
[plugins.a]
component = "shipped:a"
config.threshold = 1
grants.publish = ["telemetry/#"]
grants.models = ["oven"]
[plugins.b]
component = "shipped:b"
grants.subscribe = ["telemetry/+/press"]
[models.oven]
path = "oven.onnx"
"#;

#[test]
fn each_kind_of_change_is_found_and_told() {
    let old = Deployed::new(LINE);
    let changed = LINE
        .replace("threshold = 1", "threshold = 2\nconfig.window = 5")
        .replace("\"telemetry/#\"", "\"telemetry/#\", \"score/#\"")
        .replace("plugins.b]", "plugins.b]\nlimits.call_ms_max = 2000")
        + "[plugins.c]\ncomponent = \"shipped:c\"\ngrants.tcp = [\"plc:502\"]\n";
    let new = Deployed::new(&changed)
        .with("b", needs("0.2.0", &["wasi:random/random@0.2.12"], &[]))
        .with(
            "c",
            needs(
                "0.1.0",
                &["wasi:random/random@0.2.12"],
                &[("tcp", "the PLC")],
            ),
        );
    assert_eq!(
        plan(&old, &new).to_string(),
        "~ a 0.1.0: reconfigured (config.threshold, config.window, grants.publish)\n    \
             + publish score/#: granted\n\
         ~ b 0.1.0 -> 0.2.0: replaced (limits.call_ms_max)\n    \
             + call_ms_max 2000: granted\n    \
             + import wasi:random/random: needed\n\
         + c 0.1.0: added\n    \
             + tcp plc:502: granted\n    \
             + tcp the PLC: wanted, \"it must\"\n\
         0 plugins untouched"
    );
    assert_eq!(
        plan(&new, &old).to_string(),
        "~ a 0.1.0: reconfigured (config.threshold, config.window, grants.publish)\n\
         ~ b 0.2.0 -> 0.1.0: replaced (limits.call_ms_max)\n\
         - c 0.1.0: removed\n\
         0 plugins untouched"
    );
}

#[test]
fn a_changed_model_reconfigures_whoever_is_granted_it() {
    let old = Deployed::new(LINE);
    let mut new = Deployed::new(LINE);
    new.models
        .insert("oven".parse().unwrap(), model("a better model"));
    assert_eq!(
        plan(&old, &new).to_string(),
        "~ a 0.1.0: reconfigured (model oven)\n~ model oven: replaced (its plugins are touched only if it takes or gives otherwise)\n1 plugin untouched"
    );
}

#[test]
fn a_shipped_component_of_another_binary_is_replaced() {
    let old = Deployed::new(LINE);
    let new = Deployed::new(LINE).with("b", needs("0.2.0", &[], &[]));
    let plan = plan(&old, &new);
    assert_eq!(
        plan.plugins
            .iter()
            .map(|plugin| plugin.change)
            .collect::<Vec<_>>(),
        [Change::Untouched, Change::Replaced]
    );
}

#[test]
fn the_same_component_released_anew_is_not_untouched() {
    let old = Deployed::new(LINE);
    let new = Deployed::new(LINE).with("b", needs("0.1.0", &[], &[("udp", "the lights")]));
    let plan = plan(&old, &new);
    assert_eq!(plan.plugins[1].change, Change::Reconfigured);
    assert_eq!(plan.plugins[1].differs, ["artifact"]);
    assert_eq!(plan.refused().len(), 1);
}

#[test]
fn an_upgrade_that_reaches_for_more_is_refused_with_what_would_grant_it() {
    let old = Deployed::new(LINE);
    let imports = ["wasi:sockets/tcp@0.2.12", "acme:secrets/vault"];
    let wants = [("publish", "command/#"), ("tcp", "the PLC, port 502")];
    let new = Deployed::new(LINE).with("b", needs("0.2.0", &imports, &wants));
    let plan = plan(&old, &new);
    let told: Vec<_> = plan
        .faults(&new.document)
        .iter()
        .map(|fault| {
            assert_eq!(fault.code, "rights-widened");
            let place = fault.place.as_ref().unwrap();
            let file = Path::new(place).file_name().unwrap().to_string_lossy();
            format!(
                "{file}: {}\n{}",
                fault.message,
                fault.help.as_ref().unwrap()
            )
        })
        .collect();
    let running = "which the running version does not";
    let add = "if it may, add";
    let to = "to `[plugins.b.grants]`";
    assert_eq!(
        told,
        [
            format!(
                "line.toml:11:1: plugin `b` imports `acme:secrets/vault`, {running}\n\
                 this host does not offer it: keep the version that runs"
            ),
            format!(
                "line.toml:11:1: plugin `b` imports `wasi:sockets/tcp` (\"it must\"), {running}\n\
                 {add} `tcp = [\"<host>:<port>\"]` {to}"
            ),
            format!(
                "line.toml:11:1: plugin `b` wants to publish `command/#` (\"it must\"), {running}\n\
                 {add} `publish = [\"command/#\"]` {to}"
            ),
            format!(
                "line.toml:11:1: plugin `b` wants tcp `the PLC, port 502` (\"it must\"), {running}\n\
                 {add} `tcp = [\"<host>:<port>\"]` {to}"
            ),
        ]
    );
    // What is there already is added to.
    let granted = LINE.replace("plugins.b]", "plugins.b]\ngrants.tcp = [\"plc:1\"]");
    let new = Deployed::new(&granted).with("b", needs("0.2.0", &[], &[("tcp", "plc:2")]));
    let faults = compare(Some(old.side()), new.side()).faults(&new.document);
    assert_eq!(
        faults[0].help.as_deref().unwrap(),
        "if it may, add `\"plc:2\"` to `tcp` in `[plugins.b.grants]`"
    );
    // A first installation is looked at by whoever writes its grants.
    assert_eq!(compare(None, new.side()).refused(), []);
}

/// What could be in a deployment.
fn any_line() -> impl Strategy<Value = Deployed> {
    let plugin = (any::<Option<u8>>(), 0_u8..4, 0_u8..4, 1_u32..1000);
    let plugins = proptest::collection::btree_map("[abc]", plugin, 0..3);
    plugins.prop_map(|plugins| {
        let mut text = String::new();
        for (name, (config, topic, subscribed, limit)) in &plugins {
            text += &format!(
                "[plugins.{name}]\ncomponent = \"shipped:{name}\"\nlimits.retries_max = {}\n\
                 grants.publish = [\"t/{topic}/#\"]\ngrants.subscribe = [\"s/{subscribed}\"]\n",
                limit % 100
            );
            if let Some(value) = config {
                text += &format!("config.value = {value}\n");
            }
        }
        let mut line = Deployed::new(&text);
        for (name, (_, topic, _, version)) in &plugins {
            let wish = format!("t/{topic}");
            let version = format!("0.{version}.0");
            let imports = ["wasi:sockets/tcp@0.2.12"];
            let needs = needs(&version, &imports, &[("publish", &wish), ("udp", "all")]);
            line.plugins.insert(name.parse().unwrap(), needs);
        }
        line
    })
}

proptest! {
    #[test]
    fn a_deployment_leaves_itself_untouched(line in any_line()) {
        let plan = plan(&line, &line);
        prop_assert!(!plan.changes_anything());
        for plugin in &plan.plugins {
            prop_assert_eq!(plugin.change, Change::Untouched);
            prop_assert!(plugin.differs.is_empty() && plugin.widens.is_empty());
        }
    }

    #[test]
    fn every_plugin_of_both_is_named_once(old in any_line(), new in any_line()) {
        let plan = plan(&old, &new);
        let names: Vec<_> = plan.plugins.iter().map(|change| &change.plugin).collect();
        let mut expected: Vec<_> = old.plugins.keys().chain(new.plugins.keys()).collect();
        expected.sort();
        expected.dedup();
        prop_assert_eq!(names, expected);
        let there_and_back = compare(Some(new.side()), old.side());
        for (there, back) in plan.plugins.iter().zip(&there_and_back.plugins) {
            prop_assert_eq!(there.change == Change::Untouched, back.change == Change::Untouched);
            prop_assert_eq!(there.change == Change::Added, back.change == Change::Removed);
        }
    }
}
