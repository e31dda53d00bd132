use super::of_model;
use crate::deployment::deployments::{LoadedBy, ModelReport, PluginReport};
use crate::inference::onnx_writer::autoencoder;
use crate::inference::{InferenceLimits, ModelSource, ModelStatus, ModelStore, Served};

fn plugin(name: &str) -> PluginReport {
    let json = serde_json::json!({
        "plugin": name, "deployment": 7, "package": "acme:window", "version": "0.2.0",
        "publisher": "acme", "digest": "sha256:00", "exports": [], "state": "running",
        "stopped_by_operator": false, "handled_total": 0, "published_total": 0,
        "dropped_total": 0, "dead_letters_total": 0, "inbox_messages": 0, "inbox_bytes": 0,
        "inbox_messages_max": 1024, "memory_bytes": 0, "memory_bytes_max": 67_108_864,
    });
    serde_json::from_value(json).unwrap()
}

/// A model that `detector` and `other` may run.
fn model() -> ModelReport {
    let store = ModelStore::new(InferenceLimits::default());
    let model = store.prepare(&ModelSource::onnx(autoencoder())).unwrap();
    let served = Served::new("pump".parse().unwrap(), model);
    ModelReport {
        status: ModelStatus::of(&served).0,
        loaded_by: LoadedBy::Deployment,
        granted_to: ["detector", "other"].map(|it| it.parse().unwrap()).into(),
        origin: None,
        withdrawn: None,
    }
}

#[test]
fn a_model_that_takes_no_runs_is_trouble_of_the_plugins_at_work_that_may_run_it() {
    let detector = plugin("detector");
    let stopped = PluginReport {
        stopped_by_operator: true,
        ..plugin("other")
    };
    let plugins = [plugin("window"), detector, stopped];
    assert_eq!(of_model(&model(), &plugins), None);

    let mut overdue = model();
    overdue.status.runs.abandoned = 1;
    assert_eq!(of_model(&overdue, &plugins), None);
    overdue.status.runs.overdue = 2;
    let why = "2 of its runs go on past the limit of the host, and it takes no more";
    assert_eq!(of_model(&overdue, &plugins).unwrap(), why);

    let mut withdrawn = overdue.clone();
    withdrawn.withdrawn = Some("it is revoked".to_owned());
    let why = "out of service: it is revoked";
    assert_eq!(of_model(&withdrawn, &plugins).unwrap(), why);

    // Only `other` may run it, which an operator stopped; or nobody at all.
    for granted in [vec!["other".parse().unwrap()], vec![]] {
        for mut model in [overdue.clone(), withdrawn.clone()] {
            model.granted_to = granted.clone();
            assert_eq!(of_model(&model, &plugins), None);
        }
    }
}
