//! Keys encrypted with a password (RFC 8018, PBES2; RFC 5958, section 3).
//!
//! PBKDF2-HMAC-SHA256 and AES-256-CBC and nothing else: what OpenSSL writes by
//! default since version 3 and reads since 1.1. The rounds that a file asks for
//! are bounded, so that it keeps nobody busy.

use std::num::NonZeroU32;

use aws_lc_rs::cipher::{
    AES_256, AES_256_KEY_LEN, DecryptionContext, EncryptionContext, PaddedBlockDecryptingKey,
    PaddedBlockEncryptingKey, UnboundCipherKey,
};
use aws_lc_rs::iv::FixedLength;
use aws_lc_rs::{pbkdf2, rand};
use cms::cert::x509::spki::AlgorithmIdentifierOwned;
use const_oid::ObjectIdentifier;
use const_oid::db::rfc5911::{ID_AES_256_CBC, ID_PBKDF_2};
use const_oid::db::rfc6268::ID_HMAC_WITH_SHA_256;
use der::asn1::{Any, Null, OctetString};
use der::{Decode as _, Encode as _, Sequence};

use super::Secret;

/// Rounds of PBKDF2 (OWASP Password Storage Cheat Sheet: 600,000 with SHA-256).
pub(super) const ROUNDS: u32 = 600_000;
/// Rounds of a file that is read: some seconds.
const ROUNDS_MAX: u32 = 10_000_000;
const SALT_BYTES: usize = 16;
/// Bytes of salt in a file that is read.
const SALT_BYTES_MAX: usize = 1024;
const IV_BYTES: usize = 16;

/// `id-PBES2` (RFC 8018, appendix A.4).
const PBES2: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.5.13");

/// `EncryptedPrivateKeyInfo` (RFC 5958, section 3).
#[derive(Sequence)]
struct EncryptedKey {
    algorithm: AlgorithmIdentifierOwned,
    data: OctetString,
}

/// `PBES2-params` (RFC 8018, appendix A.4).
#[derive(Sequence)]
struct Parameters {
    derivation: AlgorithmIdentifierOwned,
    cipher: AlgorithmIdentifierOwned,
}

/// `PBKDF2-params` (RFC 8018, appendix A.2).
#[derive(Sequence)]
struct Derivation {
    salt: OctetString,
    rounds: u32,
    #[asn1(optional = "true")]
    key_bytes: Option<u32>,
    /// Without it, HMAC-SHA1.
    #[asn1(optional = "true")]
    hash: Option<AlgorithmIdentifierOwned>,
}

/// Why nothing was decrypted.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum DecryptError {
    /// It is encrypted in a way that is not supported.
    Unsupported(&'static str),
    /// With another password.
    Password,
}

/// Encrypts a key. `None` if there is no randomness.
pub(super) fn encrypt(pkcs8: &[u8], password: &str, rounds: u32) -> Option<Vec<u8>> {
    let mut salt = [0; SALT_BYTES];
    let mut iv = [0; IV_BYTES];
    rand::fill(&mut salt).ok()?;
    rand::fill(&mut iv).ok()?;

    let key = derive(password, &salt, NonZeroU32::new(rounds)?)?;
    let key = PaddedBlockEncryptingKey::cbc_pkcs7(key).ok()?;
    let mut data = pkcs8.to_vec();
    let context = EncryptionContext::Iv128(FixedLength::from(iv));
    key.less_safe_encrypt(&mut data, context).ok()?;
    Some(encode(&salt, rounds, &iv, data).expect("a key's encoding is bounded"))
}

fn encode(salt: &[u8], rounds: u32, iv: &[u8], data: Vec<u8>) -> der::Result<Vec<u8>> {
    let algorithm = |oid, parameters| AlgorithmIdentifierOwned {
        oid,
        parameters: Some(parameters),
    };
    let derivation = Derivation {
        salt: OctetString::new(salt)?,
        rounds,
        key_bytes: None,
        hash: Some(algorithm(ID_HMAC_WITH_SHA_256, Any::encode_from(&Null)?)),
    };
    let parameters = Parameters {
        derivation: algorithm(ID_PBKDF_2, Any::encode_from(&derivation)?),
        cipher: algorithm(ID_AES_256_CBC, Any::encode_from(&OctetString::new(iv)?)?),
    };
    EncryptedKey {
        algorithm: algorithm(PBES2, Any::encode_from(&parameters)?),
        data: OctetString::new(data)?,
    }
    .to_der()
}

/// Decrypts a key.
///
/// # Errors
///
/// If it is not encrypted in the one way that is supported, or with another
/// password.
pub(super) fn decrypt(der: &[u8], password: &str) -> Result<Vec<u8>, DecryptError> {
    let malformed = |_| DecryptError::Unsupported("its encryption is not well formed");
    let key = EncryptedKey::from_der(der).map_err(malformed)?;
    let parameters: Parameters = parameters(&key.algorithm, PBES2)?;
    let derivation: Derivation = self::parameters(&parameters.derivation, ID_PBKDF_2)?;
    let iv: OctetString = self::parameters(&parameters.cipher, ID_AES_256_CBC)?;

    let hash = derivation.hash.as_ref().map(|hash| hash.oid);
    if hash != Some(ID_HMAC_WITH_SHA_256)
        || derivation
            .key_bytes
            .is_some_and(|bytes| bytes as usize != AES_256_KEY_LEN)
    {
        return Err(OTHER_ALGORITHM);
    }
    if derivation.rounds > ROUNDS_MAX || derivation.salt.as_bytes().len() > SALT_BYTES_MAX {
        return Err(DecryptError::Unsupported(
            "its encryption asks for more than 10,000,000 rounds or 1,024 bytes of salt",
        ));
    }
    let rounds = NonZeroU32::new(derivation.rounds).ok_or(OTHER_ALGORITHM)?;
    let iv: [u8; IV_BYTES] = iv.as_bytes().try_into().map_err(|_| OTHER_ALGORITHM)?;

    let unbound = derive(password, derivation.salt.as_bytes(), rounds);
    let unbound = unbound.ok_or(DecryptError::Password)?;
    let cipher = PaddedBlockDecryptingKey::cbc_pkcs7(unbound).map_err(|_| OTHER_ALGORITHM)?;
    let mut data = Secret(key.data.into_bytes());
    // An empty text has no padding to look at.
    if data.0.is_empty() || !data.0.len().is_multiple_of(IV_BYTES) {
        return Err(DecryptError::Unsupported("it is cut off"));
    }
    let context = DecryptionContext::Iv128(FixedLength::from(iv));
    let plain = cipher
        .decrypt(&mut data.0, context)
        .map_err(|_| DecryptError::Password)?;
    Ok(plain.to_vec())
}

const OTHER_ALGORITHM: DecryptError = DecryptError::Unsupported(
    "it is not encrypted with PBKDF2-HMAC-SHA256 and AES-256-CBC; `openssl pkcs8 -topk8 \
     -v2 aes-256-cbc` converts it",
);

/// The parameters of an algorithm, if it is the one expected.
fn parameters<'a, T: der::Choice<'a> + der::DecodeValue<'a>>(
    algorithm: &'a AlgorithmIdentifierOwned,
    expected: ObjectIdentifier,
) -> Result<T, DecryptError> {
    let parameters = algorithm.parameters.as_ref();
    let parameters = parameters.filter(|_| algorithm.oid == expected);
    let parameters = parameters.ok_or(OTHER_ALGORITHM)?;
    parameters.decode_as().map_err(|_| OTHER_ALGORITHM)
}

fn derive(password: &str, salt: &[u8], rounds: NonZeroU32) -> Option<UnboundCipherKey> {
    let mut key = Secret(vec![0; AES_256_KEY_LEN]);
    let hash = pbkdf2::PBKDF2_HMAC_SHA256;
    pbkdf2::derive(hash, rounds, salt, password.as_bytes(), &mut key.0);
    UnboundCipherKey::new(&AES_256, &key.0).ok()
}

/// A key encrypted with the password `p` that asks for so many rounds.
#[cfg(test)]
pub(super) fn with_rounds(rounds: u32) -> Vec<u8> {
    encode(&[0; SALT_BYTES], rounds, &[0; IV_BYTES], vec![0; 16]).unwrap()
}
