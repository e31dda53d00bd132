//! Where the broker listens, whom it lets in, and what they may cost.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::num::{NonZeroU32, NonZeroU64};
use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::devices::{ClassConfig, Quota};
use crate::names::{PartyName, PluginName};
use crate::tls::is_cipher_suite;

/// The MQTT server for client devices.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BrokerConfig {
    /// Where it listens with TLS: `0.0.0.0:8883`.
    #[schemars(with = "String")]
    pub listen: SocketAddr,
    /// TLS: files, versions, suites. Without it, what `selvedge ca init` made.
    #[serde(default)]
    pub tls: BrokerTlsConfig,
    /// A listener without TLS, on a loopback address only, where everybody is one
    /// device: for programs of this gateway.
    #[serde(default)]
    pub plain: Option<PlainConfig>,
    /// The plugin that is asked who may connect, beside the registry of devices.
    #[serde(default)]
    pub authorizer: Option<PluginName>,
    /// Kinds of devices, and what each may do.
    #[serde(default)]
    pub classes: BTreeMap<String, ClassConfig>,
    /// What a device may cost, if its file and its class say nothing else.
    #[serde(default)]
    pub quota: Quota,
    /// What all devices together may cost.
    #[serde(default)]
    pub limits: BrokerLimits,
    /// What sessions outlast, and what they may hold.
    #[serde(default)]
    pub sessions: SessionConfig,
}

/// How TLS is spoken. Paths are relative to this file; all are read again when
/// they change, without ending connections.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct BrokerTlsConfig {
    /// The host's certificate chain (PEM), its own first.
    pub certificate: Option<PathBuf>,
    /// Its private key (PEM).
    pub key: Option<PathBuf>,
    /// The authorities that vouch for devices (PEM).
    pub client_ca: Option<PathBuf>,
    /// Revocation lists of these authorities (PEM).
    pub crl: Option<PathBuf>,
    /// Whether a device must show a certificate. `optional` needs an authorizer.
    pub client_certificates: ClientCertificates,
    /// Versions that are spoken; empty: 1.2 and 1.3.
    pub versions: Vec<TlsVersion>,
    /// Cipher suites by their IANA names, `TLS13_AES_256_GCM_SHA384`; empty: the
    /// safe ones.
    pub cipher_suites: Vec<String>,
}

/// Whether a device must show a certificate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ClientCertificates {
    /// Who has none is not let in.
    #[default]
    Required,
    /// Who has none is what the authorizer says.
    Optional,
}

/// A version of TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum TlsVersion {
    #[serde(rename = "1.2")]
    V12,
    #[serde(rename = "1.3")]
    V13,
}

/// A listener without TLS.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PlainConfig {
    /// Where it listens; a loopback address.
    #[schemars(with = "String")]
    pub listen: SocketAddr,
    /// The device that everybody is who connects there.
    pub device: PartyName,
}

/// What all devices together may cost.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct BrokerLimits {
    /// Connections at once; a further one is closed as it comes.
    pub connections_max: NonZeroU32,
    /// Connections at once from one address; likewise.
    pub connections_per_address_max: NonZeroU32,
    /// TLS handshakes at once; further ones wait in the listener's line.
    pub handshakes_max: NonZeroU32,
    /// Time in milliseconds from the connection to the end of its CONNECT packet.
    pub connect_ms_max: NonZeroU32,
    /// Time in milliseconds that a write may make no progress, then the connection
    /// ends.
    pub write_stall_ms_max: NonZeroU32,
    /// Seconds of keep-alive that a device may ask for; MQTT 5 devices that ask for
    /// more, or for none, are told this. 0: what they like.
    pub keep_alive_s_max: u16,
    /// Sessions kept for devices that are away, in all.
    pub kept_sessions_max: NonZeroU32,
    /// Bytes that wait in kept sessions, in all.
    pub kept_bytes_max: NonZeroU64,
}

/// What sessions outlast, and what they may hold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct SessionConfig {
    /// Seconds that a session is kept for a device that is away; longer wishes are
    /// cut to this. MQTT 3.1.1 sessions that are not clean get all of it.
    pub expiry_s_max: u32,
    /// What becomes of a message for which a session has no room.
    pub overflow: SessionOverflow,
    /// Milliseconds after which a message that a connected device has not
    /// acknowledged is written to the disk, so that its publisher need not wait
    /// longer.
    pub spill_ms: NonZeroU32,
    /// Milliseconds that a device waits for those who are to handle its message, a
    /// plugin or an uplink. Then MQTT 5 devices are told that it was not handled,
    /// and connections of MQTT 3.1.1 devices end without an acknowledgement: the
    /// device sends it again.
    pub settle_ms_max: NonZeroU32,
}

/// What becomes of a message for which a session has no room. It is counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum SessionOverflow {
    /// The oldest that waits goes.
    #[default]
    DropOldest,
    /// It goes itself.
    DropNewest,
}

impl Default for BrokerLimits {
    fn default() -> Self {
        Self {
            connections_max: nonzero!(NonZeroU32, 2_000),
            connections_per_address_max: nonzero!(NonZeroU32, 1_000),
            handshakes_max: nonzero!(NonZeroU32, 64),
            connect_ms_max: nonzero!(NonZeroU32, 10_000),
            write_stall_ms_max: nonzero!(NonZeroU32, 30_000),
            keep_alive_s_max: 0,
            kept_sessions_max: nonzero!(NonZeroU32, 2_000),
            kept_bytes_max: nonzero!(NonZeroU64, 256 << 20),
        }
    }
}

impl Default for SessionConfig {
    fn default() -> Self {
        Self {
            expiry_s_max: 7 * 24 * 60 * 60,
            overflow: SessionOverflow::default(),
            spill_ms: nonzero!(NonZeroU32, 200),
            settle_ms_max: nonzero!(NonZeroU32, 30_000),
        }
    }
}

impl BrokerConfig {
    /// What no type can say by itself: which field, and what is wrong.
    pub(crate) fn faults(&self) -> Vec<(String, String)> {
        let mut faults = Vec::new();
        let mut fault = |field: &str, text: String| {
            let field = format!("broker.{field}");
            let text = format!("`{field}` {text}");
            faults.push((field, text));
        };
        if let Some(plain) = &self.plain
            && !plain.listen.ip().to_canonical().is_loopback()
        {
            let listen = plain.listen;
            let text = format!("is {listen}: without TLS it must be a loopback address");
            fault("plain.listen", text);
        }
        let tls = &self.tls;
        if tls.client_certificates == ClientCertificates::Optional && self.authorizer.is_none() {
            let text = "is `optional`: then `broker.authorizer` must say who may connect";
            fault("tls.client_certificates", text.to_owned());
        }
        if tls.certificate.is_some() != tls.key.is_some() {
            let both = ["certificate", "key"];
            let [own, other] = match &tls.key {
                Some(_) => [both[1], both[0]],
                None => both,
            };
            let text = format!("stands without `broker.tls.{other}`");
            fault(&format!("tls.{own}"), text);
        }
        for (index, name) in tls.cipher_suites.iter().enumerate() {
            if !is_cipher_suite(name) {
                let text = format!("is `{name}`, which is no cipher suite that is spoken here");
                fault(&format!("tls.cipher_suites[{index}]"), text);
            }
        }
        faults
    }

    /// Its paths, seen from `folder` where they are relative.
    pub(crate) fn within(&mut self, folder: &Path) {
        let BrokerTlsConfig {
            certificate,
            key,
            client_ca,
            crl,
            ..
        } = &mut self.tls;
        for path in [certificate, key, client_ca, crl].into_iter().flatten() {
            *path = folder.join(&path);
        }
    }
}
