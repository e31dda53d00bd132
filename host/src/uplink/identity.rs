//! Who the gateway is to one target, and by which name receivers know its queue.

use super::config::UplinkConfig;
use super::error::BuildError;
use crate::names::PartyName;
use crate::storage::{Bucket, Storage};

/// Bytes that an uplink keeps beside its queue.
const BUCKET_BYTES_MAX: u64 = 1 << 20;

const QUEUE: &str = "queue";

/// The names of one uplink.
#[derive(Debug)]
pub(crate) struct Identity {
    pub(crate) client_id: String,
    /// Random, made with the queue: with a number of the queue it tells messages
    /// apart for good.
    pub(crate) queue: String,
    pub(crate) bucket: Bucket,
}

/// What an uplink keeps beside its queue.
pub(super) fn bucket(name: &PartyName, storage: &Storage) -> Result<Bucket, BuildError> {
    let bucket = storage.bucket(&format!("uplink/{name}"), BUCKET_BYTES_MAX);
    bucket.map_err(|source| BuildError::Bucket {
        uplink: name.to_string(),
        source,
    })
}

impl Identity {
    pub(crate) fn open(
        name: &PartyName,
        config: &UplinkConfig,
        storage: &Storage,
    ) -> Result<Self, BuildError> {
        let bucket = bucket(name, storage)?;
        let failed = |source| BuildError::Bucket {
            uplink: name.to_string(),
            source,
        };
        let known = bucket.get(QUEUE).map_err(failed)?;
        let known = known.and_then(|bytes| String::from_utf8(bytes).ok());
        let queue = match known {
            Some(queue) => queue,
            None => {
                let mut bytes = [0; 8];
                getrandom::fill(&mut bytes).map_err(|_| BuildError::Random)?;
                let queue = format!("{:016x}", u64::from_be_bytes(bytes));
                bucket.set(QUEUE, queue.as_bytes()).map_err(failed)?;
                queue
            }
        };
        let client_id = config.client_id.clone();
        Ok(Self {
            client_id: client_id.unwrap_or_else(|| machine(config, name)),
            queue,
            bucket,
        })
    }
}

/// The name of this machine, as far as a target takes it.
fn machine(config: &UplinkConfig, name: &PartyName) -> String {
    let text = fs_err::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let max = config.limits.within(config.profile).client_id_bytes_max;
    let plain = |char: &char| char.is_ascii_alphanumeric() || matches!(char, '-' | '_' | '.');
    let machine: String = text.trim().chars().filter(plain).take(max).collect();
    if machine.is_empty() {
        name.to_string()
    } else {
        machine
    }
}
