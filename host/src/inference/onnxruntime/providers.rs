//! What besides the library's own code may compute, and whether it can here.
//!
//! That a provider is compiled in says nothing of a device: only a session tells.
//! Each that the configuration allows is tried once with the smallest model when
//! the library is opened, and again whenever a model asks for one that failed.

use std::collections::BTreeMap;

use ort::ep::{CUDA, ExecutionProvider as _, ExecutionProviderDispatch, OpenVINO, TensorRT};
use parking_lot::Mutex;
use prost::Message as _;
use tract_onnx::pb;

use super::library::take_complaint;
use super::session::{Place, Sessions};
use crate::inference::config::OnnxruntimeConfig;
use crate::inference::native_library::line_of;
use crate::inference::{Device, LoadError, ModelSource, ProviderStatus, Unavailable};
use crate::spec::{BackendKind, Precision, Provider, RunOptions, Target};

/// What each can compute on.
const ALL: [(Provider, Device); 4] = [
    (Provider::Cuda, Device::Gpu),
    (Provider::Tensorrt, Device::Gpu),
    (Provider::Openvino, Device::Cpu),
    (Provider::Openvino, Device::Gpu),
];

/// The providers that the configuration allows.
pub(super) struct Providers {
    config: OnnxruntimeConfig,
    /// Why each cannot be used, none if it can.
    tried: Mutex<BTreeMap<(Provider, bool), Option<String>>>,
}

impl Providers {
    /// Tries each once.
    pub(super) fn try_all(sessions: &Sessions<'_>) -> Self {
        let providers = Self {
            config: sessions.config.clone(),
            tried: Mutex::default(),
        };
        for (provider, device) in ALL {
            if providers.config.providers.contains(&provider) {
                drop(providers.try_out(provider, device, sessions));
            }
        }
        providers
    }

    pub(super) fn config(&self) -> &OnnxruntimeConfig {
        &self.config
    }

    /// Where `source` may be computed on `device`, best first.
    pub(super) fn places(
        &self,
        source: &ModelSource,
        device: Device,
        sessions: &Sessions<'_>,
    ) -> Result<Vec<Place>, LoadError> {
        let asked = source.options.provider;
        if device == Device::Cpu && (asked.is_none() || source.target != Target::Cpu) {
            // What fell back from a graphics processor asked for that one's.
            return Ok(vec![Place {
                device,
                provider: None,
                whole: true,
            }]);
        }
        let (mut places, mut reasons) = (Vec::new(), Vec::new());
        let candidates = asked.map_or_else(|| self.config.providers.clone(), |one| vec![one]);
        for provider in candidates {
            match self.usable(provider, device, sessions) {
                Ok(()) => places.push(Place {
                    device,
                    provider: Some(provider),
                    whole: source.options.strict,
                }),
                Err(why) => reasons.push(format!("`{}`: {why}", name_of(provider))),
            }
        }
        let backend = BackendKind::Onnxruntime;
        let why = reasons.join("; ");
        match (places.is_empty(), device) {
            (false, _) => Ok(places),
            (true, Device::Gpu) => Err(LoadError::NoDevice { backend, why }),
            (true, Device::Cpu) => Err(LoadError::BackendUnavailable { backend, why }),
        }
    }

    fn usable(
        &self,
        provider: Provider,
        device: Device,
        sessions: &Sessions<'_>,
    ) -> Result<(), String> {
        if !ALL.contains(&(provider, device)) {
            return Err("it does not compute on the processor".to_owned());
        }
        if !self.config.providers.contains(&provider) {
            return Err("host.toml does not name it among its `providers`".to_owned());
        }
        let key = (provider, device == Device::Gpu);
        if matches!(self.tried.lock().get(&key), Some(None)) {
            return Ok(());
        }
        self.try_out(provider, device, sessions)
    }

    fn try_out(
        &self,
        provider: Provider,
        device: Device,
        sessions: &Sessions<'_>,
    ) -> Result<(), String> {
        let place = Place {
            device,
            provider: Some(provider),
            whole: true,
        };
        drop(take_complaint());
        let tried = sessions.one(&smallest(), place, &RunOptions::default());
        let tried = tried.map(drop).map_err(|error| {
            let said = [Some(error.message().to_owned()), take_complaint()];
            let said: Vec<_> = said.into_iter().flatten().collect();
            line_of(&said.join(": "))
        });
        let key = (provider, device == Device::Gpu);
        self.tried.lock().insert(key, tried.clone().err());
        tried
    }

    pub(super) fn status(&self) -> Vec<ProviderStatus> {
        let own = ProviderStatus {
            provider: "cpu".to_owned(),
            device: Device::Cpu,
            unavailable: None,
        };
        let others = ALL.into_iter().map(|(provider, device)| ProviderStatus {
            provider: name_of(provider).to_owned(),
            device,
            unavailable: self.unavailable(provider, device),
        });
        std::iter::once(own).chain(others).collect()
    }

    fn unavailable(&self, provider: Provider, device: Device) -> Option<Unavailable> {
        let name = name_of(provider);
        let why = |code: &str, reason: String, help: String| {
            let code = code.to_owned();
            let help = Some(help);
            Some(Unavailable { code, reason, help })
        };
        if !is_compiled_in(provider) {
            return why(
                "not-compiled-in",
                format!("this build of ONNX Runtime has no `{name}`"),
                format!("install the build of ONNX Runtime that has `{name}`"),
            );
        }
        if !self.config.providers.contains(&provider) {
            return why(
                "not-configured",
                format!("`{name}` is not among `providers`"),
                format!("add \"{name}\" to `providers` in host.toml"),
            );
        }
        let key = (provider, device == Device::Gpu);
        let reason = self.tried.lock().get(&key).cloned().flatten()?;
        why(
            "no-device",
            reason,
            "see that the device is there, that the host's user may open it, and that the \
             driver and the libraries of the provider are installed"
                .to_owned(),
        )
    }
}

pub(super) fn name_of(provider: Provider) -> &'static str {
    match provider {
        Provider::Cuda => "cuda",
        Provider::Tensorrt => "tensorrt",
        Provider::Openvino => "openvino",
    }
}

fn is_compiled_in(provider: Provider) -> bool {
    let found = match provider {
        Provider::Cuda => CUDA::is_available(),
        Provider::Tensorrt => TensorRT::is_available(),
        Provider::Openvino => OpenVINO::is_available(),
    };
    found.unwrap_or(false)
}

/// The provider as a session takes it: it fails where it cannot be used.
pub(super) fn dispatch(
    provider: Provider,
    device: Device,
    options: &RunOptions,
    config: &OnnxruntimeConfig,
) -> Vec<ExecutionProviderDispatch> {
    let exact = options.precision == Precision::Exact;
    let bytes_max = usize::try_from(config.gpu_bytes_max).unwrap_or(usize::MAX);
    let cuda = || {
        CUDA::default()
            .with_memory_limit(bytes_max)
            .with_tf32(!exact)
            .build()
            .error_on_failure()
    };
    match provider {
        Provider::Cuda => vec![cuda()],
        Provider::Tensorrt => {
            let own = TensorRT::default()
                .with_max_workspace_size(bytes_max)
                .with_fp16(!exact)
                .build()
                .error_on_failure();
            // What it leaves may go on computing beside it, if that is allowed.
            let beside = config.providers.contains(&Provider::Cuda).then(cuda);
            std::iter::once(own).chain(beside).collect()
        }
        Provider::Openvino => {
            let threads = usize::try_from(options.threads.get()).unwrap_or(1);
            let mut own = OpenVINO::default().with_device_type(match device {
                Device::Cpu => "CPU",
                Device::Gpu => "GPU",
            });
            if device == Device::Cpu {
                own = own.with_num_threads(threads);
            }
            if exact {
                // Else it computes in half the precision wherever that is faster.
                own = own.with_precision("FP32");
            }
            vec![own.build().error_on_failure()]
        }
    }
}

/// `y = x + x` of one number.
fn smallest() -> Vec<u8> {
    let dim = pb::tensor_shape_proto::Dimension {
        value: Some(pb::tensor_shape_proto::dimension::Value::DimValue(1)),
        ..Default::default()
    };
    let tensor = pb::type_proto::Tensor {
        elem_type: pb::tensor_proto::DataType::Float as i32,
        shape: Some(pb::TensorShapeProto { dim: vec![dim] }),
    };
    let port = |name: &str| pb::ValueInfoProto {
        name: name.to_owned(),
        r#type: Some(pb::TypeProto {
            value: Some(pb::type_proto::Value::TensorType(tensor.clone())),
            ..Default::default()
        }),
        ..Default::default()
    };
    let add = pb::NodeProto {
        input: vec!["x".to_owned(), "x".to_owned()],
        output: vec!["y".to_owned()],
        op_type: "Add".to_owned(),
        ..Default::default()
    };
    let graph = pb::GraphProto {
        name: "probe".to_owned(),
        node: vec![add],
        input: vec![port("x")],
        output: vec![port("y")],
        ..Default::default()
    };
    let opset = pb::OperatorSetIdProto {
        version: 13,
        ..Default::default()
    };
    let model = pb::ModelProto {
        ir_version: 8,
        opset_import: vec![opset],
        graph: Some(graph),
        ..Default::default()
    };
    model.encode_to_vec()
}
