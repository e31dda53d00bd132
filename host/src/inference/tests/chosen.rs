//! Which backend runs a model, and what is said where none does.

use super::super::backends::Backends;
use super::super::tract::Tract;
use super::slots::outside_on;
use super::{
    FLOAT, InferenceLimits, LoadError, ModelSource, ModelStore, Onnx, autoencoder, double, store,
};
use crate::inference::{Backend, BackendStatus, Chosen, Device, Graph};
use crate::spec::{BackendChoice, BackendKind, Target};

/// Stands for a library of that kind from outside, with tract within.
struct Of(BackendKind);

impl Backend for Of {
    fn kind(&self) -> BackendKind {
        self.0
    }

    fn devices(&self) -> &[Device] {
        &[Device::Cpu]
    }

    fn supports_operator(&self, _: &str, operator: &str) -> Option<bool> {
        Some(operator == "NonSuch")
    }

    fn status(&self) -> BackendStatus {
        Backends::built_in().status().remove(0)
    }

    fn load(
        &self,
        source: &ModelSource,
        device: Device,
        limits: &InferenceLimits,
    ) -> Result<Box<dyn Graph>, LoadError> {
        Tract.load(source, device, limits)
    }
}

fn stores(kinds: &[BackendKind]) -> ModelStore {
    let of = |kind: &BackendKind| -> Box<dyn Backend> {
        match kind {
            BackendKind::Tract => Box::new(Tract),
            other => Box::new(Of(*other)),
        }
    };
    let backends = kinds.iter().map(of).collect();
    ModelStore::with_backends(InferenceLimits::default(), backends)
}

fn open() -> ModelSource {
    let source = ModelSource::onnx(autoencoder());
    assert_eq!(source.backend, BackendChoice::Auto);
    source
}

fn by(backend: BackendKind) -> Chosen {
    Chosen {
        backend,
        provider: "cpu".to_owned(),
        device: Device::Cpu,
    }
}

#[test]
fn what_was_computed_on_one_processor_is_not_silently_computed_on_another() {
    let (with, _go) = outside_on(&[Device::Cpu, Device::Gpu]);
    let (without, _go) = outside_on(&[Device::Cpu]);
    let on = |target| ModelSource {
        target,
        ..ModelSource::onnx("model".into())
    };
    let preferred = Chosen::of(&with.prepare(&on(Target::GpuPreferred)).unwrap());
    assert_eq!(preferred.device, Device::Gpu);
    // Preferred, and gone: it runs, and it is seen that it should not run there.
    let model = without.prepare_as(&on(Target::GpuPreferred), &preferred);
    let model = model.unwrap();
    assert!(model.degraded());
    assert_ne!(Chosen::of(&model), preferred);
    // And there again.
    let degraded = Chosen::of(&model);
    let model = with.prepare_as(&on(Target::GpuPreferred), &degraded);
    assert!(!model.unwrap().degraded());
    // Asked for, and gone.
    let error = without.prepare_as(&on(Target::Gpu), &preferred);
    assert_eq!(error.unwrap_err().code(), "model-target-unavailable");
    // By another part of the same library.
    let other = Chosen {
        provider: "tensorrt".to_owned(),
        ..preferred
    };
    for target in [Target::Gpu, Target::GpuPreferred] {
        let error = with.prepare_as(&on(target), &other).unwrap_err();
        assert_eq!(error.code(), "model-placement-gone");
        assert_eq!(
            error.to_string(),
            "the deployment was made with `tract` by `tensorrt` on the gpu, \
             but now it would be `tract` by `cpu` on the gpu"
        );
    }
}

#[test]
fn what_was_chosen_once_is_taken_again_and_nothing_else() {
    let both = stores(&[BackendKind::Tract, BackendKind::Onnxruntime]);
    let model = both.prepare(&open()).unwrap();
    assert_eq!(model.backend(), BackendKind::Onnxruntime);
    let model = both.prepare_as(&open(), &by(BackendKind::Tract)).unwrap();
    assert_eq!(model.backend(), BackendKind::Tract);

    let error = store()
        .prepare_as(&open(), &by(BackendKind::Onnxruntime))
        .unwrap_err();
    assert_eq!(error.code(), "model-backend-gone");
    assert_eq!(
        error.to_string(),
        "the deployment was made with the backend `onnxruntime`, which is not here any more: \
         this host has `tract`"
    );
    // Where the document says which, that is what counts.
    let said = ModelSource {
        backend: BackendChoice::Tract,
        ..open()
    };
    let model = both.prepare_as(&said, &by(BackendKind::Onnxruntime));
    assert_eq!(model.unwrap().backend(), BackendKind::Tract);
}

#[test]
fn of_an_unsupported_operator_it_is_said_who_has_it() {
    let model = Onnx::new()
        .input("x", FLOAT, &["1"])
        .node("NonSuch", &["x"], &["y"])
        .output("y", FLOAT, &["1"])
        .build();
    let source = ModelSource {
        backend: BackendChoice::Tract,
        ..ModelSource::onnx(model)
    };
    let said = |store: &ModelStore| store.prepare(&source).unwrap_err();
    let error = said(&store());
    assert_eq!(error.code(), "model-unsupported-operator");
    assert_eq!(
        error.to_string(),
        "the operator `NonSuch` is not supported by the backend `tract`; \
         `onnxruntime` has all standard operators, and this host has none"
    );
    let error = said(&stores(&[BackendKind::Tract, BackendKind::Openvino]));
    assert!(
        error
            .to_string()
            .ends_with("; `openvino` of this host has it"),
        "{error}"
    );

    assert_eq!(Tract.supports_operator("", "MatMul"), Some(true));
    assert_eq!(
        Tract.supports_operator("com.microsoft", "MatMul"),
        Some(false)
    );
    assert_eq!(Tract.supports_operator("", "NonSuch"), Some(false));
    store()
        .prepare(&ModelSource::onnx(double(FLOAT, &["n"])))
        .unwrap();
}

#[test]
fn of_a_device_that_is_nowhere_it_is_said_of_every_library() {
    let both = stores(&[BackendKind::Tract, BackendKind::Onnxruntime]);
    let source = ModelSource {
        target: Target::Gpu,
        ..open()
    };
    let error = both.prepare(&source).unwrap_err();
    assert_eq!(error.code(), "model-target-unavailable");
    assert_eq!(
        error.to_string(),
        "the target `gpu` is not available: the backend `onnxruntime` has none here; \
         the backend `tract` has none here; `gpu-preferred` would run on the cpu"
    );
}
