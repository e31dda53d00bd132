//! The client against registries that lie, stall, break off and never end, each
//! written byte by byte on a loopback socket.

mod auth;
mod blobs;
mod documents;
mod hostile;
mod ours;
mod peers;
mod push;
mod referrers;

use std::time::Duration;

use bytes::Bytes;
use selvedge_artifact::{Descriptor, Manifest, Packaged, Reference, media_type};

use super::pace::Pace;
use super::{Client, ClientConfig};

/// Patient enough for a busy machine, quick enough for a test.
fn pace() -> Pace {
    Pace {
        idle: Duration::from_millis(700),
        window: Duration::from_millis(1500),
        window_bytes_min: 60 << 10,
        delay: Duration::from_millis(2),
        delay_max: Duration::from_millis(20),
    }
}

fn config() -> ClientConfig {
    ClientConfig {
        // No test may read the credentials of whoever runs it.
        docker_config: Some("/nonexistent".into()),
        blob_bytes_max: 32 << 20,
        ..ClientConfig::default()
    }
}

fn client() -> Client {
    Client::with_pace(config(), pace()).unwrap()
}

/// Like [`client`], for servers that do honest work on a busy machine.
fn patient_client(config: ClientConfig) -> Client {
    let pace = Pace {
        delay: Duration::from_millis(50),
        ..Pace::new(Duration::from_secs(20))
    };
    Client::with_pace(config, pace).unwrap()
}

/// Bytes that are not all alike, so that a shift shows.
fn noise(length: usize) -> Bytes {
    let mut state: u32 = 1;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        state.to_be_bytes()[0]
    };
    (0..length).map(|_| next()).collect::<Vec<u8>>().into()
}

/// An artifact with one layer.
fn artifact(layer: Bytes) -> Packaged {
    about(None, "application/vnd.wasm.config.v0+json", layer)
}

/// An artifact about `subject`, of the type that its configuration has.
fn about(subject: Option<Descriptor>, kind: &str, layer: Bytes) -> Packaged {
    let config = Bytes::from_static(b"{}");
    let (config_is, layer_is) = (
        Descriptor::of(kind, &config),
        Descriptor::of(media_type::WASM, &layer),
    );
    let manifest = Manifest {
        schema_version: 2,
        media_type: Some(media_type::MANIFEST.to_owned()),
        artifact_type: None,
        config: config_is.clone(),
        layers: vec![layer_is.clone()],
        subject,
        annotations: Default::default(),
    };
    Packaged {
        manifest: manifest.to_bytes().into(),
        blobs: vec![(config_is, config), (layer_is, layer)],
    }
}

fn reference(address: impl std::fmt::Display, rest: impl std::fmt::Display) -> Reference {
    format!("{address}/acme/thermostat{rest}").parse().unwrap()
}
