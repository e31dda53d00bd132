//! How a model is compiled: nothing that decides a result or the cost of a run is
//! left to what the library finds best on the device at hand.

use std::num::NonZeroU32;

use openvino::{CompiledModel, Core, DeviceType, Model, PropertyKey, RwPropertyKey};

use super::errors::{Said, not_loaded};
use crate::inference::{Device, LoadError};
use crate::spec::{BackendKind, Precision, RunOptions};

/// Runs of one model at once: each takes memory of its own.
const CONCURRENCY_MAX: u32 = 64;
/// Threads of one model.
const THREADS_MAX: u32 = 256;
const SINGLE_PRECISION: &str = "f32";

/// Runs of a model at once.
pub(super) fn concurrency(options: &RunOptions) -> u32 {
    let asked = options.concurrency.map_or(1, NonZeroU32::get);
    asked.min(CONCURRENCY_MAX)
}

/// What the library calls `device`.
fn name_of(device: Device) -> DeviceType<'static> {
    match device {
        Device::Cpu => DeviceType::CPU,
        Device::Gpu => DeviceType::GPU,
    }
}

/// Compiles `model` for `device` and makes sure that it was done as asked.
pub(super) fn compile(
    mut core: Core,
    model: &Model,
    device: Device,
    options: &RunOptions,
) -> Result<CompiledModel, LoadError> {
    let name = name_of(device);
    for (key, value) in properties(device, options) {
        core.set_property(&name, &key, &value).map_err(not_loaded)?;
    }
    let compiled = core.compile_model(model, name).map_err(not_loaded)?;
    check(&compiled, device, options)?;
    Ok(compiled)
}

fn properties(device: Device, options: &RunOptions) -> Vec<(RwPropertyKey, String)> {
    let streams = concurrency(options);
    let threads = options.threads.get().saturating_mul(streams);
    let mut properties = vec![
        (RwPropertyKey::NumStreams, streams.to_string()),
        (RwPropertyKey::CacheDir, String::new()),
    ];
    if device == Device::Cpu {
        properties.extend([
            // Shared by all streams.
            (
                RwPropertyKey::InferenceNumThreads,
                threads.min(THREADS_MAX).to_string(),
            ),
            // The cores are not ours alone.
            (RwPropertyKey::HintEnableCpuPinning, "NO".to_owned()),
        ]);
    }
    if options.precision == Precision::Exact {
        properties.extend([
            (RwPropertyKey::HintExecutionMode, "ACCURACY".to_owned()),
            (
                RwPropertyKey::HintInferencePrecision,
                SINGLE_PRECISION.to_owned(),
            ),
        ]);
    }
    properties
}

/// A property that is not known is passed over in silence by some of its devices.
fn check(compiled: &CompiledModel, device: Device, options: &RunOptions) -> Result<(), LoadError> {
    let property = |key: PropertyKey| {
        let value = compiled.get_property(&key).map_err(not_loaded)?;
        Ok::<_, LoadError>(value.into_owned())
    };
    let devices = property(PropertyKey::Other("EXECUTION_DEVICES".into()))?;
    let wanted = name_of(device);
    let elsewhere = |found: &str| found.split('.').next() != Some(wanted.as_ref());
    if devices.split([' ', ',']).any(elsewhere) {
        return Err(LoadError::NoDevice {
            backend: BackendKind::Openvino,
            why: Said::of(&format!("it would run on `{devices}`")).to_string(),
        });
    }
    let precision = property(RwPropertyKey::HintInferencePrecision.into())?;
    if options.precision == Precision::Exact && precision != SINGLE_PRECISION {
        return Err(LoadError::Malformed {
            source: Said::of(&format!("it would be computed as {precision}")).into(),
        });
    }
    Ok(())
}
