//! Fleet provisioning by claim: from a certificate that the whole fleet shares to
//! one of the gateway's own.
//!
//! Each step is on the disk before the next, so one that is killed half-way goes
//! on: with the same key, and with the same certificate while its ownership token
//! is good. The certificate must be one for our key: an answer that somebody else
//! provoked is no use to him, nor to us.

pub mod files;
pub mod service;
pub mod wire;

use std::collections::BTreeMap;
use std::io;
use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;
use rcgen::{CertificateParams, KeyPair};
use serde::Serialize;
use tokio::task::spawn_blocking;
use tokio::time::{Instant, sleep_until, timeout, timeout_at};
use tracing::{info, warn};

use self::files::{Created, Files, Pending, Thing};
use self::wire::{Asked, CreateFromCsr, Register, Registered, Rejected};
use super::asking::{ANSWER_MAX, Pause, plain, read};
use super::channel::{Channel, ChannelError};
use super::config::KeyMaker;
use super::name::TemplateName;
use crate::tls;

/// How long an ownership token is used. AWS IoT takes it for an hour; a clock that
/// was set meanwhile only costs another certificate.
const TOKEN_USED: Duration = Duration::from_secs(50 * 60);
/// Bytes of a certificate chain, a key or a token.
const PART_BYTES_MAX: usize = 32 << 10;
/// How often one question is asked.
const TRIES_MAX: u32 = 5;
/// Messages that wait to be looked at.
const WAITING_MAX: usize = 8;

/// What is asked for.
#[derive(Clone, Debug)]
pub struct Claim {
    pub template: TemplateName,
    pub parameters: BTreeMap<String, String>,
    pub key: KeyMaker,
}

/// Why there is no certificate.
#[derive(Debug, thiserror::Error)]
pub enum ProvisionError {
    #[error("the cloud was not reached with the claim within {0:?}")]
    Away(Duration),
    #[error("the question did not leave")]
    Ask(#[source] ChannelError),
    #[error("the cloud did not answer `{0}`")]
    NoAnswer(String),
    #[error("the cloud refused `{topic}`: {status} {code}: {message}")]
    Rejected {
        topic: String,
        status: u16,
        code: String,
        message: String,
    },
    #[error("the cloud's answer to `{0}` has another form than it documents")]
    Form(String),
    #[error("the certificate is not one for the key")]
    Mismatch,
    #[error("cannot make a key")]
    Key(#[source] rcgen::Error),
    #[error("cannot keep what the cloud said")]
    Files(#[source] io::Error),
}

impl ProvisionError {
    /// A stable name for alerts. Never reworded.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Away(_) => "claim-away",
            Self::Ask(_) => "claim-not-asked",
            Self::NoAnswer(_) => "claim-unanswered",
            Self::Rejected { .. } => "claim-rejected",
            Self::Form(_) => "claim-answer-malformed",
            Self::Mismatch => "certificate-mismatch",
            Self::Key(_) => "key-not-made",
            Self::Files(_) => "claim-files",
        }
    }

    /// Whether the next try may have another end.
    fn may_pass(&self) -> bool {
        match self {
            Self::Rejected { status, .. } => *status == 429 || *status >= 500,
            Self::NoAnswer(_) | Self::Ask(_) => true,
            _ => false,
        }
    }
}

/// Gets a certificate, unless there is one, and says which thing this is.
///
/// # Errors
///
/// If the cloud cannot be reached within `wait`, refuses, or says something else.
pub async fn provision(
    channel: &dyn Channel,
    claim: &Claim,
    files: &Files,
    wait: Duration,
) -> Result<Thing, ProvisionError> {
    let own = files.clone();
    let (had, pending) = blocking(move || Ok((own.thing()?, own.pending()?))).await?;
    if let Some(thing) = had {
        return Ok(thing);
    }
    let mut asking = Asking {
        channel,
        files,
        pending,
    };
    if asking.pending.thing.is_none() {
        asking.connected(wait).await?;
        asking.register(claim).await?;
    }
    let Pending {
        key,
        created,
        thing,
    } = asking.pending;
    let (Some(key), Some(created), Some(thing)) = (key, created, thing) else {
        return Err(ProvisionError::Mismatch);
    };
    let (own, installed) = (files.clone(), thing.clone());
    blocking(move || own.install(&key, &created.certificate, &installed)).await?;
    info!(thing = thing.thing.as_str(), "provisioned");
    Ok(thing)
}

struct Asking<'a> {
    channel: &'a dyn Channel,
    files: &'a Files,
    pending: Pending,
}

impl Asking<'_> {
    async fn connected(&self, wait: Duration) -> Result<(), ProvisionError> {
        let mut connected = self.channel.connected();
        let there = timeout(wait, connected.wait_for(|there| *there)).await;
        match there {
            Ok(Ok(_)) => Ok(()),
            _ => Err(ProvisionError::Away(wait)),
        }
    }

    async fn register(&mut self, claim: &Claim) -> Result<(), ProvisionError> {
        let resumed = self.created().is_some();
        match self.register_once(claim).await {
            Err(ProvisionError::Rejected { code, .. }) if resumed => {
                // The certificate of another day is not good any more.
                warn!(code, "begun certificate refused: another one is asked for");
                self.pending.created = None;
                self.register_once(claim).await
            }
            outcome => outcome,
        }
    }

    async fn register_once(&mut self, claim: &Claim) -> Result<(), ProvisionError> {
        let created = match self.created() {
            Some(created) => created,
            None => self.create(claim.key).await?,
        };
        let register = Register {
            certificate_ownership_token: &created.token,
            parameters: &claim.parameters,
        };
        let asked = Asked::register(&claim.template);
        let answer = self.ask(&asked, &register).await?;
        let topic = asked.topic().to_string();
        let registered: Registered = read(&answer).ok_or(ProvisionError::Form(topic))?;
        self.pending.thing = Some(Thing {
            thing: registered.thing_name,
            certificate: created.id,
            configuration: registered.device_configuration,
        });
        self.save().await
    }

    /// The certificate that was begun, if its token may still be good.
    fn created(&self) -> Option<Created> {
        let created = self.pending.created.as_ref()?;
        let age = Timestamp::now().duration_since(created.at);
        let age = Duration::try_from(age).ok()?;
        (age < TOKEN_USED).then(|| created.clone())
    }

    async fn create(&mut self, maker: KeyMaker) -> Result<Created, ProvisionError> {
        let (asked, answer) = match maker {
            KeyMaker::Here => {
                let request = self.signing_request().await?;
                let asked = Asked::create_from_csr();
                let certificate_signing_request = &request;
                let create = CreateFromCsr {
                    certificate_signing_request,
                };
                let answer = self.ask(&asked, &create).await?;
                (asked, answer)
            }
            KeyMaker::Cloud => {
                let asked = Asked::create_keys();
                let answer = self.ask(&asked, &serde_json::Map::new()).await?;
                (asked, answer)
            }
        };
        let topic = asked.topic().to_string();
        let created: wire::Created = read(&answer).ok_or(ProvisionError::Form(topic))?;
        if maker == KeyMaker::Cloud {
            self.pending.key = created.private_key;
        }
        let key = self
            .pending
            .key
            .as_deref()
            .ok_or(ProvisionError::Mismatch)?;
        let (certificate, token) = (
            &created.certificate_pem,
            &created.certificate_ownership_token,
        );
        if certificate.len().max(token.len()).max(key.len()) > PART_BYTES_MAX {
            return Err(ProvisionError::Mismatch);
        }
        if !tls::fits(certificate.as_bytes(), key.as_bytes()) {
            return Err(ProvisionError::Mismatch);
        }
        let created = Created {
            at: Timestamp::now(),
            token: created.certificate_ownership_token,
            id: plain(&created.certificate_id),
            certificate: created.certificate_pem,
        };
        self.pending.created = Some(created.clone());
        self.save().await?;
        Ok(created)
    }

    /// Of the key that is kept, or of one that is made and kept.
    async fn signing_request(&mut self) -> Result<String, ProvisionError> {
        let kept = self.pending.key.as_deref();
        let key = match kept.and_then(|pem| KeyPair::from_pem(pem).ok()) {
            Some(key) => key,
            None => {
                let key = KeyPair::generate().map_err(ProvisionError::Key)?;
                self.pending.key = Some(key.serialize_pem());
                self.save().await?;
                key
            }
        };
        let params = CertificateParams::default();
        let request = params.serialize_request(&key);
        let pem = request.and_then(|request| request.pem());
        pem.map_err(ProvisionError::Key)
    }

    async fn save(&self) -> Result<(), ProvisionError> {
        let (files, pending) = (self.files.clone(), self.pending.clone());
        blocking(move || files.save(&pending)).await
    }

    /// Asks until there is an answer that no further question would change.
    async fn ask(&self, asked: &Asked, question: &impl Serialize) -> Result<Bytes, ProvisionError> {
        let payload = Bytes::from(serde_json::to_vec(question).unwrap_or_default());
        let mut pause = Pause::default();
        let mut tries = 0;
        loop {
            tries += 1;
            match self.ask_once(asked, payload.clone()).await {
                Err(error) if error.may_pass() && tries < TRIES_MAX => {
                    let now = Instant::now();
                    pause.fail(now);
                    let code = error.code();
                    warn!(code, attempt = tries, "provisioning: asked again");
                    sleep_until(pause.until(now).unwrap_or(now)).await;
                }
                outcome => return outcome,
            }
        }
    }

    async fn ask_once(&self, asked: &Asked, payload: Bytes) -> Result<Bytes, ProvisionError> {
        // Before it is asked, or the answer may be missed.
        let mut answers = self.channel.subscribe(asked.filters(), WAITING_MAX);
        let mut subscribed = answers.subscribed();
        let confirmed = timeout(ANSWER_MAX, subscribed.wait_for(|confirmed| *confirmed));
        let confirmed = confirmed.await.is_ok_and(|confirmed| confirmed.is_ok());
        if !confirmed {
            return Err(ProvisionError::Ask(ChannelError::Away));
        }
        let sent = self.channel.ask(asked.topic(), payload).await;
        sent.map_err(ProvisionError::Ask)?;
        let due = Instant::now() + ANSWER_MAX;
        let topic = asked.topic().to_string();
        loop {
            let answer = timeout_at(due, answers.receive()).await;
            let Ok(Some(answer)) = answer else {
                return Err(ProvisionError::NoAnswer(topic));
            };
            match asked.is_accepted(&answer.topic) {
                Some(true) => return Ok(answer.payload),
                Some(false) => return Err(rejected(topic, &answer.payload)),
                None => {}
            }
        }
    }
}

fn rejected(topic: String, payload: &[u8]) -> ProvisionError {
    let Some(rejected) = read::<Rejected>(payload) else {
        return ProvisionError::Form(topic);
    };
    ProvisionError::Rejected {
        topic,
        status: rejected.status_code,
        code: plain(&rejected.error_code),
        message: plain(&rejected.error_message),
    }
}

async fn blocking<T: Send + 'static>(
    job: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Result<T, ProvisionError> {
    let done = spawn_blocking(job).await;
    let done = done.map_err(|error| ProvisionError::Files(io::Error::other(error)))?;
    done.map_err(ProvisionError::Files)
}

#[cfg(test)]
mod tests;
