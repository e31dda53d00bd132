//! What a guest gets for each use and misuse of `wasi:nn`.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use wasmtime::component::{Resource, ResourceTable};

use super::bindings::wasi::nn::errors::{ErrorCode, HostError};
use super::bindings::wasi::nn::graph::{ExecutionTarget, GraphEncoding, Host as _, HostGraph as _};
use super::bindings::wasi::nn::inference::HostGraphExecutionContext as _;
use super::bindings::wasi::nn::tensor::{HostTensor as _, TensorType};
use super::{Context, Fallible, GuestTensor, NnCtx, NnLimits, NnView, QuotaError, link};
use crate::inference::onnx_writer::autoencoder;
use crate::inference::{InferenceLimits, ModelSet, ModelSource, ModelStore};
use crate::spec::BackendChoice;

pub(super) struct Guest {
    ctx: NnCtx,
    table: ResourceTable,
}

fn with(set: &ModelSet, name: &str, bytes: Bytes) -> Arc<ModelSet> {
    let store = ModelStore::new(InferenceLimits::default());
    let source = ModelSource {
        backend: BackendChoice::Tract,
        version: Some("1.2.3".to_owned()),
        metadata: [("labels".to_owned(), r#"["a","b"]"#.to_owned())].into(),
        ..ModelSource::onnx(bytes)
    };
    let model = store.prepare(&source).unwrap();
    let change = (name.parse().unwrap(), Some(model));
    store.change(set, [change]).unwrap()
}

/// A guest that is granted `ae` and `absent`; `secret` is loaded too.
pub(super) fn guest(tensor_bytes_max: u64, resources_max: u32) -> Guest {
    let models = with(&ModelSet::default(), "ae", autoencoder());
    let models = with(&models, "secret", autoencoder());
    let granted = ["ae", "absent"].map(|name| name.parse().unwrap());
    let limits = NnLimits {
        tensor_bytes_max: tensor_bytes_max.try_into().unwrap(),
        resources_max: resources_max.try_into().unwrap(),
    };
    Guest {
        ctx: NnCtx::new(models, granted.into(), limits),
        table: ResourceTable::new(),
    }
}

impl Guest {
    pub(super) fn view(&mut self) -> NnView<'_> {
        NnView {
            ctx: &mut self.ctx,
            table: &mut self.table,
        }
    }

    /// The error that `result` must be, which the guest then drops.
    fn refusal<T>(&mut self, result: Fallible<T>) -> (ErrorCode, String) {
        let Err(error) = result.unwrap() else {
            panic!("not refused")
        };
        let error = error.rep();
        let mut view = self.view();
        let code = view.code(Resource::new_borrow(error)).unwrap();
        let text = HostError::data(&mut view, Resource::new_borrow(error)).unwrap();
        HostError::drop(&mut view, Resource::new_own(error)).unwrap();
        (code, text)
    }

    fn context(&mut self) -> u32 {
        let mut view = self.view();
        let graph = view.load_by_name("ae".to_owned()).unwrap().unwrap();
        let context = view
            .init_execution_context(Resource::new_borrow(graph.rep()))
            .unwrap()
            .unwrap();
        super::graph::HostGraph::drop(&mut view, graph).unwrap();
        context.rep()
    }

    fn tensor(&mut self, dimensions: &[u32], bytes: usize) -> Resource<GuestTensor> {
        let data = vec![0; bytes];
        let tensor = self.view().new(dimensions.to_vec(), TensorType::Fp32, data);
        tensor.unwrap()
    }

    async fn compute(
        &mut self,
        context: u32,
        inputs: Vec<(&str, Resource<GuestTensor>)>,
    ) -> Fallible<Vec<(String, Resource<GuestTensor>)>> {
        let inputs = inputs
            .into_iter()
            .map(|(name, tensor)| (name.to_owned(), tensor));
        let context = Resource::<Context>::new_borrow(context);
        self.view().compute(context, inputs.collect()).await
    }

    fn holds(&self) -> (u64, u32) {
        (self.ctx.usage.tensor_bytes(), self.ctx.usage.resources())
    }
}

#[tokio::test]
async fn a_granted_model_computes_and_gives_everything_back() {
    let mut guest = guest(1 << 20, 16);
    let context = guest.context();
    let input = guest.tensor(&[2, 64], 512);
    let outputs = guest.compute(context, vec![("x", input)]).await;
    let outputs = outputs.unwrap().unwrap();
    // The input is consumed.
    assert_eq!(guest.holds(), (8 + 512, 3));

    let names: Vec<_> = outputs.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["score", "y"]);
    for ((_, tensor), dimensions) in outputs.into_iter().zip([[2, 1], [2, 64]]) {
        let mut view = guest.view();
        let borrowed = || Resource::new_borrow(tensor.rep());
        assert_eq!(view.dimensions(borrowed()).unwrap(), dimensions);
        assert_eq!(view.ty(borrowed()).unwrap(), TensorType::Fp32);
        let data = super::tensor::HostTensor::data(&mut view, borrowed()).unwrap();
        let elements = dimensions.iter().product::<u32>();
        assert_eq!(u32::try_from(data.len()), Ok(4 * elements));
        super::tensor::HostTensor::drop(&mut view, tensor).unwrap();
    }
    let context = Resource::new_own(context);
    super::inference::HostGraphExecutionContext::drop(&mut guest.view(), context).unwrap();
    assert_eq!(guest.holds(), (0, 0));
    assert!(guest.table.is_empty());
}

#[test]
fn only_granted_models_are_reached_and_none_from_bytes() {
    let mut guest = guest(1 << 20, 16);
    let bytes = vec![autoencoder().to_vec()];
    let loaded = guest
        .view()
        .load(bytes, GraphEncoding::Onnx, ExecutionTarget::Cpu);
    let (code, text) = guest.refusal(loaded);
    assert_eq!(code, ErrorCode::UnsupportedOperation);
    assert!(text.contains("use load-by-name"), "{text}");

    let mut by_name = |name: &str| {
        let loaded = guest.view().load_by_name(name.to_owned());
        guest.refusal(loaded)
    };
    // In the same words whether or not there is such a model.
    for name in ["secret", "nothing", "", "ae ", "../ae", "AE"] {
        let text = format!("model `{name}` is not granted to this plugin");
        assert_eq!(by_name(name), (ErrorCode::Security, text));
    }
    let (code, text) = by_name(&"x".repeat(1 << 20));
    assert_eq!(code, ErrorCode::Security);
    assert!(text.len() < 200);
    let text = "model `absent` is not loaded".to_owned();
    assert_eq!(by_name("absent"), (ErrorCode::NotFound, text));
    assert_eq!(guest.holds(), (0, 0));
}

#[tokio::test]
async fn each_wrong_tensor_is_an_invalid_argument_that_says_why() {
    let mut guest = guest(1 << 20, 16);
    let context = guest.context();
    let cases: [(&str, &[u32], usize, &str); 6] = [
        ("x", &[1, 64], 7, "takes 256 bytes, not 7"),
        (
            "x",
            &[u32::MAX, u32::MAX, u32::MAX],
            0,
            "larger than can be addressed",
        ),
        ("x", &[1; 1000], 4, "1000 dimensions is not supported"),
        (
            "x",
            &[1, 63],
            252,
            "has the shape [1, 63], the model takes [n, 64]",
        ),
        ("x", &[0, 64], 0, "has no elements"),
        (
            "z",
            &[1, 64],
            256,
            "there is no input `z`; the model takes `x`",
        ),
    ];
    for (name, dimensions, bytes, reason) in cases {
        let tensor = guest.tensor(dimensions, bytes);
        let computed = guest.compute(context, vec![(name, tensor)]).await;
        let (code, text) = guest.refusal(computed);
        assert_eq!(code, ErrorCode::InvalidArgument);
        assert!(text.contains(reason), "{text}");
        assert_eq!(guest.holds(), (0, 1));
    }
    let tensor = guest.view().new(vec![1, 64], TensorType::I64, vec![0; 512]);
    let computed = guest.compute(context, vec![("x", tensor.unwrap())]).await;
    let refusal = (
        ErrorCode::InvalidArgument,
        "input `x` is i64, the model takes fp32".to_owned(),
    );
    assert_eq!(guest.refusal(computed), refusal);
}

#[tokio::test]
async fn a_quota_traps_and_outputs_that_do_not_fit_do_not() {
    let mut guest = guest(600, 8);
    let context = guest.context();
    let input = guest.tensor(&[1, 64], 256);
    // Even a tensor that is not well-formed counts.
    let kept = guest.tensor(&[1], 340);
    let error = guest
        .view()
        .new(vec![1, 64], TensorType::Fp32, vec![0; 256]);
    let error = error.unwrap_err();
    let quota = error.downcast_ref::<QuotaError>();
    assert_eq!(
        quota,
        Some(&QuotaError::TensorBytes {
            bytes: 852,
            max: 600
        })
    );
    assert_eq!(guest.holds(), (596, 3));

    let computed = guest.compute(context, vec![("x", input)]).await;
    let computed = computed.unwrap().unwrap();
    assert_eq!(guest.holds(), (340 + 260, 4));
    let (_, score) = computed.into_iter().next().unwrap();
    super::tensor::HostTensor::drop(&mut guest.view(), score).unwrap();
    super::tensor::HostTensor::drop(&mut guest.view(), kept).unwrap();
    let input = guest.tensor(&[1, 64], 256);
    let kept = guest.tensor(&[22], 88);
    let computed = guest.compute(context, vec![("x", input)]).await;
    let (code, text) = guest.refusal(computed);
    assert_eq!(code, ErrorCode::TooLarge);
    assert!(
        text.contains("the limit `tensor_bytes_max` is 600"),
        "{text}"
    );
    super::tensor::HostTensor::drop(&mut guest.view(), kept).unwrap();

    let error = loop {
        if let Err(error) = guest.view().new(vec![0], TensorType::U8, Vec::new()) {
            break error;
        }
    };
    let quota = error.downcast_ref::<QuotaError>();
    assert_eq!(quota, Some(&QuotaError::Resources { max: 8 }));
    // Errors are resources, too: refusals cannot be hoarded.
    assert!(guest.view().load_by_name("secret".to_owned()).is_err());
}

#[tokio::test]
async fn a_call_that_is_over_computes_no_more() {
    let mut guest = guest(1 << 20, 16);
    let context = guest.context();
    guest.ctx.set_deadline(Some(Instant::now()));
    let input = guest.tensor(&[1, 64], 256);
    let computed = guest.compute(context, vec![("x", input)]).await;
    let refusal = (ErrorCode::Timeout, "the run did not end in time".to_owned());
    assert_eq!(guest.refusal(computed), refusal);

    guest.ctx.set_deadline(None);
    let input = guest.tensor(&[1, 64], 256);
    guest
        .compute(context, vec![("x", input)])
        .await
        .unwrap()
        .unwrap();
}

#[test]
fn the_linker_takes_it() {
    let engine = wasmtime::Engine::default();
    let mut linker = wasmtime::component::Linker::<Guest>::new(&engine);
    link(&mut linker, Guest::view).unwrap();
}
