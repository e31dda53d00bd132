//! What is counted of models: by name, with what computes each and who brought it.
//!
//! Runs are those of the version that serves: they begin anew with the next.

use super::page::{Family, Kind, Page, counter, gauge};
use crate::deployment::deployments::ModelReport;
use crate::inference::{Device, ModelStatus, ShadowStatus};

#[expect(
    clippy::cast_precision_loss,
    reason = "metrics are floating-point numbers"
)]
const OF_MODELS: [Family<ModelStatus, f64>; 11] = [
    counter("runs_total", "Runs that the backend was asked for", |m| {
        m.runs.runs_total as f64
    }),
    counter("failures_total", "Runs that failed or came too late", |m| {
        m.runs.failures_total as f64
    }),
    counter("refused_runs_total", "Runs refused for their inputs", |m| {
        m.runs.refused_total as f64
    }),
    counter(
        "busy_runs_total",
        "Runs refused for lack of a turn or a slot",
        |m| m.runs.busy_total as f64,
    ),
    counter(
        "swaps_total",
        "How often another version took its place while plugins used it",
        |m| m.swaps_total as f64,
    ),
    counter(
        "batches_total",
        "Runs computed for several callers together",
        |m| m.runs.batches_total as f64,
    ),
    counter("batch_rows_total", "Rows of these", |m| {
        m.runs.batch_rows_total as f64
    }),
    gauge("overdue_runs", "Runs going on past the host's limit", |m| {
        f64::from(m.runs.overdue)
    }),
    gauge(
        "abandoned_runs",
        "Runs going on that nobody waits for",
        |m| f64::from(m.runs.abandoned),
    ),
    gauge("run_p50_seconds", "Median time of a run", |m| {
        m.runs.run_p50_us / 1e6
    }),
    gauge(
        "run_p99_seconds",
        "The time that 99 of 100 runs keep",
        |m| m.runs.run_p99_us / 1e6,
    ),
];

#[expect(
    clippy::cast_precision_loss,
    reason = "metrics are floating-point numbers"
)]
const OF_SHADOWS: [Family<ShadowStatus, f64>; 9] = [
    counter("compared_runs_total", "Runs that were compared", |s| {
        s.compared_total as f64
    }),
    counter(
        "dropped_runs_total",
        "Runs to be compared while there was no room",
        |s| s.dropped_total as f64,
    ),
    counter(
        "failures_total",
        "Runs that failed of the shadow only",
        |s| s.failures_total as f64,
    ),
    counter("values_total", "Values that were compared", |s| {
        s.values_total as f64
    }),
    counter(
        "beyond_values_total",
        "Values that differed by more than the tolerance",
        |s| s.beyond_total as f64,
    ),
    counter("rows_total", "Rows whose largest value was compared", |s| {
        s.rows_total as f64
    }),
    counter(
        "argmax_differs_total",
        "Rows whose largest value was elsewhere",
        |s| s.argmax_differs_total as f64,
    ),
    gauge("difference_max", "The largest difference", |s| {
        s.difference_max
    }),
    gauge(
        "relative_difference_max",
        "The largest difference relative to the value that was served",
        |s| s.relative_difference_max,
    ),
];

pub(super) fn models(page: &mut Page, reports: &[ModelReport]) {
    let shadows = reports
        .iter()
        .filter_map(|it| Some((&it.status, it.status.shadow.as_ref()?)));
    let shadows: Vec<_> = shadows
        .map(|(model, shadow)| (of_both(model, shadow), shadow))
        .collect();
    let models: Vec<_> = reports
        .iter()
        .map(|report| (labels(report), &report.status))
        .collect();
    page.table("model", &OF_MODELS, &models);
    let help = "1 where it was to run on a graphics processor if there is one";
    page.family(Kind::Gauge, "model_degraded", help);
    for (labels, model) in &models {
        page.sample(labels, u8::from(model.degraded));
    }
    page.table("model_shadow", &OF_SHADOWS, &shadows);
    let help = "Median time of the shadow by that of the model";
    page.family(Kind::Gauge, "model_shadow_time_ratio", help);
    for (labels, shadow) in &shadows {
        if let Some(ratio) = shadow.time_ratio {
            page.sample(labels, ratio);
        }
    }
}

fn of_both<'a>(model: &'a ModelStatus, shadow: &'a ShadowStatus) -> [(&'static str, &'a str); 2] {
    [
        ("model", model.model.as_str()),
        ("shadow", shadow.model.as_str()),
    ]
}

fn labels(report: &ModelReport) -> [(&str, &str); 5] {
    let model = &report.status;
    let device = match model.device {
        Device::Cpu => "cpu",
        Device::Gpu => "gpu",
    };
    [
        ("model", model.model.as_str()),
        ("backend", model.backend.name()),
        ("provider", &model.provider),
        ("device", device),
        ("loaded_by", report.loaded_by.name()),
    ]
}

#[cfg(test)]
mod tests {
    use super::models;
    use crate::api::metrics::page::Page;
    use crate::deployment::deployments::{LoadedBy, ModelReport};
    use crate::inference::onnx_writer::autoencoder;
    use crate::inference::{InferenceLimits, ModelSet, ModelSource, ModelStore};
    use crate::spec::{Models, ShadowOptions};

    #[test]
    fn what_computes_a_model_and_what_follows_it_are_labels() {
        let store = ModelStore::new(InferenceLimits::default());
        let model = || store.prepare(&ModelSource::onnx(autoencoder())).unwrap();
        let changes = ["pump", "pump-next"].map(|name| (name.parse().unwrap(), Some(model())));
        let options = ShadowOptions {
            model: "pump-next".parse().unwrap(),
            fraction: 1.0.try_into().unwrap(),
            tolerance: 0.0.try_into().unwrap(),
        };
        let shadows = Models::from([("pump".parse().unwrap(), options)]);
        let next = store.next(&ModelSet::default(), changes, &shadows).unwrap();
        drop(next.exchanges.make());
        let mut page = Page::default();
        let reports = next.set.status().into_iter().map(|status| ModelReport {
            loaded_by: match status.model.as_str() {
                "pump" => LoadedBy::Deployment,
                _ => LoadedBy::InferenceApi,
            },
            granted_to: Vec::new(),
            origin: None,
            withdrawn: None,
            status,
        });
        models(&mut page, &reports.collect::<Vec<_>>());
        let page = page.finish();
        let by = "backend=\"tract\",provider=\"cpu\",device=\"cpu\",loaded_by=\"deployment\"";
        let by_api = by.replace("deployment", "inference-api");
        for line in [
            format!("selvedge_model_runs_total{{model=\"pump\",{by}}} 0"),
            format!("selvedge_model_swaps_total{{model=\"pump-next\",{by_api}}} 0"),
            format!("selvedge_model_batch_rows_total{{model=\"pump\",{by}}} 0"),
            format!("selvedge_model_degraded{{model=\"pump\",{by}}} 0"),
            "selvedge_model_shadow_compared_runs_total{model=\"pump\",shadow=\"pump-next\"} 0"
                .to_owned(),
        ] {
            assert!(page.lines().any(|it| it == line), "no {line} in {page}");
        }
        assert!(!page.contains("time_ratio{"), "neither has run: {page}");
    }
}
