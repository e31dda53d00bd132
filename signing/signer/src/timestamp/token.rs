//! Timestamp tokens as bytes (RFC 3161, section 2.4.2, over RFC 5652).
//!
//! A granted response with one signer, its certificate and nothing optional that
//! a verifier could stumble on: no fractions of seconds, no accuracy, no nonce,
//! for nobody asked.

use std::time::Duration;

use aws_lc_rs::rand;
use cms::cert::x509::Certificate;
use cms::cert::x509::attr::Attribute;
use cms::cert::x509::spki::AlgorithmIdentifierOwned;
use cms::cert::{CertificateChoices, IssuerAndSerialNumber};
use cms::content_info::{CmsVersion, ContentInfo};
use cms::signed_data::{
    CertificateSet, EncapsulatedContentInfo, SignedData, SignerIdentifier, SignerInfo, SignerInfos,
};
use const_oid::ObjectIdentifier;
use const_oid::db::rfc5911::{
    ID_AA_SIGNING_CERTIFICATE_V_2, ID_CONTENT_TYPE, ID_MESSAGE_DIGEST, ID_SIGNED_DATA,
};
use const_oid::db::rfc5912::{ECDSA_WITH_SHA_256, ID_SHA_256};
use der::asn1::{Any, GeneralizedTime, OctetString, SetOfVec, Uint};
use der::{Encode, Sequence, Tag};
use jiff::Timestamp;
use selvedge_artifact::Digest;

use crate::SigningKey;

/// `id-ct-TSTInfo` (RFC 3161, section 2.4.2).
const TST_INFO: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.16.1.4");
/// `anyPolicy` (RFC 5280, section 4.2.1.4): no promise beyond the time.
const POLICY: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.32.0");
/// `PKIStatus` `granted` (RFC 3161, section 2.4.2).
const GRANTED: u8 = 0;
const SERIAL_BYTES: usize = 16;

/// `TSTInfo`, as far as it is used.
#[derive(Sequence)]
struct TstInfo {
    version: u8,
    policy: ObjectIdentifier,
    imprint: MessageImprint,
    serial: Uint,
    time: GeneralizedTime,
}

#[derive(Sequence)]
struct MessageImprint {
    algorithm: AlgorithmIdentifierOwned,
    hash: OctetString,
}

/// `SigningCertificateV2` (RFC 5035, section 3).
#[derive(Sequence)]
struct SigningCertificate {
    certificates: Vec<CertificateId>,
}

/// `ESSCertIDv2`: without an algorithm, the hash is SHA-256.
#[derive(Sequence)]
struct CertificateId {
    hash: OctetString,
}

/// `TimeStampResp`.
#[derive(Sequence)]
struct Response {
    status: Status,
    token: ContentInfo,
}

#[derive(Sequence)]
struct Status {
    status: u8,
}

/// A response that `signature` existed at `time`, a whole second.
///
/// `None` if there is no randomness or a time before 1970.
pub(super) fn response(
    key: &SigningKey,
    certificate: &Certificate,
    signature: &[u8],
    time: Timestamp,
) -> Option<Vec<u8>> {
    let mut serial = [0; SERIAL_BYTES];
    rand::fill(&mut serial).ok()?;
    let info = tst_info(signature, time, &serial).ok()?;
    let attributes = signed_attributes(&info, certificate).ok()?;
    // Signed as a SET OF, whatever tag they carry in the message (RFC 5652,
    // section 5.4).
    let signed = key.pair.sign(&attributes.to_der().ok()?).ok()?;
    encode(&info, certificate, attributes, signed.as_bytes()).ok()
}

fn tst_info(signature: &[u8], time: Timestamp, serial: &[u8]) -> der::Result<Vec<u8>> {
    let seconds =
        u64::try_from(time.as_second()).map_err(|_| Tag::GeneralizedTime.value_error())?;
    TstInfo {
        version: 1,
        policy: POLICY,
        imprint: MessageImprint {
            algorithm: algorithm(ID_SHA_256),
            hash: OctetString::new(*Digest::of(signature).as_bytes())?,
        },
        serial: Uint::new(serial)?,
        time: GeneralizedTime::from_unix_duration(Duration::from_secs(seconds))?,
    }
    .to_der()
}

fn signed_attributes(info: &[u8], certificate: &Certificate) -> der::Result<SetOfVec<Attribute>> {
    let hash = |bytes: &[u8]| OctetString::new(*Digest::of(bytes).as_bytes());
    let signer = SigningCertificate {
        certificates: vec![CertificateId {
            hash: hash(&certificate.to_der()?)?,
        }],
    };
    SetOfVec::try_from(vec![
        attribute(ID_CONTENT_TYPE, Any::encode_from(&TST_INFO)?)?,
        attribute(ID_MESSAGE_DIGEST, Any::encode_from(&hash(info)?)?)?,
        attribute(ID_AA_SIGNING_CERTIFICATE_V_2, Any::encode_from(&signer)?)?,
    ])
}

fn encode(
    info: &[u8],
    certificate: &Certificate,
    attributes: SetOfVec<Attribute>,
    signature: &[u8],
) -> der::Result<Vec<u8>> {
    let own = &certificate.tbs_certificate;
    let signer = SignerInfo {
        version: CmsVersion::V1,
        sid: SignerIdentifier::IssuerAndSerialNumber(IssuerAndSerialNumber {
            issuer: own.issuer.clone(),
            serial_number: own.serial_number.clone(),
        }),
        digest_alg: algorithm(ID_SHA_256),
        signed_attrs: Some(attributes),
        signature_algorithm: algorithm(ECDSA_WITH_SHA_256),
        signature: OctetString::new(signature)?,
        unsigned_attrs: None,
    };
    let content = EncapsulatedContentInfo {
        econtent_type: TST_INFO,
        econtent: Some(Any::new(Tag::OctetString, info)?),
    };
    let certificates = vec![CertificateChoices::Certificate(certificate.clone())];
    let signed = SignedData {
        version: CmsVersion::V3,
        digest_algorithms: SetOfVec::try_from(vec![algorithm(ID_SHA_256)])?,
        encap_content_info: content,
        certificates: Some(CertificateSet::try_from(certificates)?),
        crls: None,
        signer_infos: SignerInfos::try_from(vec![signer])?,
    };
    Response {
        status: Status { status: GRANTED },
        token: ContentInfo {
            content_type: ID_SIGNED_DATA,
            content: Any::encode_from(&signed)?,
        },
    }
    .to_der()
}

/// Without parameters (RFC 5754, section 2; RFC 5758, section 3.2).
fn algorithm(oid: ObjectIdentifier) -> AlgorithmIdentifierOwned {
    AlgorithmIdentifierOwned {
        oid,
        parameters: None,
    }
}

fn attribute(oid: ObjectIdentifier, value: Any) -> der::Result<Attribute> {
    Ok(Attribute {
        oid,
        values: SetOfVec::try_from(vec![value])?,
    })
}
