//! Who may write: HTTP Basic authentication (RFC 7617) for one user.
//!
//! Credentials are hashed with a salt of this process and compared in constant
//! time. Whoever guesses waits in a line that all guesses share, so there are
//! few guesses in a second whatever the number of connections; whoever is right
//! never waits.

use std::fmt;
use std::time::Duration;

use axum::http::{HeaderMap, header};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest as _, Sha256};
use tokio::sync::Semaphore;
use tokio::time::sleep;

use super::refusal::Refusal;
use super::{Access, ServeError};

/// How long one wrong guess takes.
pub(super) const GUESS: Duration = Duration::from_millis(250);
/// Wrong guesses at once; more wait for their turn.
const GUESSES_MAX: usize = 4;
/// Bytes of an `Authorization` header that is looked at.
const HEADER_BYTES_MAX: usize = 4096;

/// Lets pass who may write.
pub(super) struct Gate {
    salt: [u8; 32],
    /// The salted hash of `user:password`. `None`: nobody may write.
    expected: Option<[u8; 32]>,
    guesses: Semaphore,
}

impl fmt::Debug for Gate {
    /// Without salt and hash, with which a password could be guessed.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gate").finish_non_exhaustive()
    }
}

impl Gate {
    pub(super) fn new(access: Access) -> Result<Self, ServeError> {
        let mut salt = [0; 32];
        getrandom::fill(&mut salt).map_err(|error| ServeError::Random(Box::new(error)))?;
        let expected = match access {
            Access::ReadOnly => None,
            Access::Push(credentials) => {
                if credentials.user.is_empty() || credentials.password.is_empty() {
                    return Err(ServeError::Credentials("user or password is empty"));
                }
                // RFC 7617, section 2.
                if credentials.user.contains(':') {
                    return Err(ServeError::Credentials("the user contains a colon"));
                }
                let pair = format!("{}:{}", credentials.user, credentials.password);
                if pair.len() > HEADER_BYTES_MAX / 2 {
                    return Err(ServeError::Credentials("they are too long"));
                }
                Some(hash(&salt, pair.as_bytes()))
            }
        };
        Ok(Self {
            salt,
            expected,
            guesses: Semaphore::new(GUESSES_MAX),
        })
    }

    /// Whether anyone may write at all.
    pub(super) fn is_read_only(&self) -> bool {
        self.expected.is_none()
    }

    /// Lets a writer pass.
    pub(super) async fn admit(&self, headers: &HeaderMap) -> Result<(), Refusal> {
        let Some(expected) = &self.expected else {
            return Err(Refusal::ReadOnly);
        };
        let Some(header) = headers.get(header::AUTHORIZATION) else {
            return Err(Refusal::Unauthorized);
        };
        let found = pair(header.as_bytes()).map(|pair| hash(&self.salt, &pair));
        if found.is_some_and(|found| equal(expected, &found)) {
            return Ok(());
        }
        let turn = self.guesses.acquire().await;
        sleep(GUESS).await;
        drop(turn);
        Err(Refusal::Unauthorized)
    }
}

/// `user:password` out of `Basic <base64>`.
fn pair(header: &[u8]) -> Option<Vec<u8>> {
    if header.len() > HEADER_BYTES_MAX {
        return None;
    }
    let (scheme, rest) = header.split_at_checked(b"Basic ".len())?;
    if !scheme.eq_ignore_ascii_case(b"Basic ") {
        return None;
    }
    STANDARD.decode(rest.trim_ascii()).ok()
}

fn hash(salt: &[u8; 32], bytes: &[u8]) -> [u8; 32] {
    Sha256::new()
        .chain_update(salt)
        .chain_update(bytes)
        .finalize()
        .into()
}

/// Takes the same time wherever they differ.
fn equal(a: &[u8; 32], b: &[u8; 32]) -> bool {
    a.iter().zip(b).fold(0, |sum, (a, b)| sum | (a ^ b)) == 0
}
