//! The options of commands that sign: with a key, or with an identity.

use std::path::{Path, PathBuf};

use bytes::Bytes;
use selvedge_signer::{
    Instance, KeySigner, KeylessSigner, SigningKey, TimeSource, TimestampAuthority,
};

use super::failure::{Failure, Outcome};

/// Bytes of an identity token or a password.
const SECRET_BYTES_MAX: u64 = 64 << 10;

/// Who signs.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Signing options")]
pub(super) struct SigningOptions {
    /// Sign with this key (see `selvedge keygen`).
    #[arg(long, value_name = "FILE", conflicts_with = "identity_token_file")]
    key: Option<PathBuf>,
    /// The password of the key: the first line of this file.
    #[arg(long, value_name = "FILE", requires = "key")]
    password_file: Option<PathBuf>,
    /// One's own timestamp authority, which says when the key was used (see
    /// `selvedge keygen --timestamp-authority`).
    #[arg(
        long,
        value_name = "FILE",
        requires = "key",
        conflicts_with = "timestamp_url"
    )]
    timestamp_authority: Option<PathBuf>,
    /// A timestamp authority (RFC 3161), which says when it was signed.
    #[arg(long, value_name = "URL")]
    timestamp_url: Option<String>,
    /// Sign without a key, as whom the token in this file names (OpenID Connect).
    #[arg(long, value_name = "FILE", requires_all = ["fulcio_url", "rekor_url"])]
    identity_token_file: Option<PathBuf>,
    /// The certificate authority of the sigstore instance.
    #[arg(long, value_name = "URL")]
    fulcio_url: Option<String>,
    /// The transparency log of the sigstore instance.
    #[arg(long, value_name = "URL")]
    rekor_url: Option<String>,
    /// The log speaks version 2 of its protocol.
    #[arg(long, requires = "timestamp_url")]
    rekor_v2: bool,
    /// Trust the certificates in this file (PEM) besides the system's when
    /// reaching the instance.
    #[arg(long = "instance-root", value_name = "FILE")]
    instance_roots: Vec<PathBuf>,
}

/// Someone who signs statements.
#[derive(Debug)]
pub(super) enum Signer {
    Key(KeySigner),
    Keyless(Box<KeylessSigner>),
}

impl SigningOptions {
    /// Who signs; `None` if the options name nobody.
    pub(super) fn signer(&self) -> Outcome<Option<Signer>> {
        if let Some(key) = &self.key {
            return Ok(Some(Signer::Key(self.key_signer(key)?)));
        }
        let (Some(token), Some(fulcio), Some(rekor)) =
            (&self.identity_token_file, &self.fulcio_url, &self.rekor_url)
        else {
            return Ok(None);
        };
        let instance = Instance {
            fulcio: fulcio.clone(),
            rekor: rekor.clone(),
            rekor_v2: self.rekor_v2,
            timestamp: self.timestamp_url.clone(),
        };
        let roots: Result<Vec<_>, _> = self.instance_roots.iter().map(fs_err::read).collect();
        let signer = KeylessSigner::new(instance, &first_line(token)?, &roots?)?;
        Ok(Some(Signer::Keyless(Box::new(signer))))
    }

    /// Who signs; it is an error if the options name nobody.
    pub(super) fn required(&self) -> Outcome<Signer> {
        self.signer()?.ok_or_else(|| {
            Failure::usage(
                "who signs? name `--key` with `--timestamp-authority` or `--timestamp-url`, \
                 or `--identity-token-file` with `--fulcio-url` and `--rekor-url`",
            )
        })
    }

    fn key_signer(&self, key: &Path) -> Outcome<KeySigner> {
        let password = self.password_file.as_deref().map(first_line).transpose()?;
        let time = match (&self.timestamp_authority, &self.timestamp_url) {
            (Some(file), _) => TimeSource::Own(TimestampAuthority::read(file)?),
            (None, Some(url)) => TimeSource::Remote(url.clone()),
            (None, None) => {
                return Err(Failure::usage(
                    "who says when the key was used? name `--timestamp-authority` or `--timestamp-url`: \
                     without it, a key that leaks could be used for ever",
                ));
            }
        };
        Ok(KeySigner {
            key: SigningKey::read(key, password.as_deref())?,
            time,
        })
    }
}

impl Signer {
    /// A bundle over `statement`.
    pub(super) async fn sign(&self, statement: &[u8]) -> Outcome<Bytes> {
        Ok(match self {
            Self::Key(signer) => signer.sign(statement).await?,
            Self::Keyless(signer) => signer.sign(statement).await?,
        })
    }
}

/// The first line of a small file, without what ends it.
pub(super) fn first_line(path: &Path) -> Outcome<String> {
    use std::io::Read as _;

    let mut text = String::new();
    let file = fs_err::File::open(path)?;
    file.take(SECRET_BYTES_MAX).read_to_string(&mut text)?;
    Ok(text.lines().next().unwrap_or_default().trim().to_owned())
}
