// What a verifier must know of the instance, as sigstore's TrustedRoot.

const MEDIA_TYPE = 'application/vnd.dev.sigstore.trustedroot+json;version=0.1';

// Before all that the instance signs.
const VALID_FOR = { start: '2020-01-01T00:00:00Z' };

const SUBJECT = { organization: 'peers.example', commonName: 'sigstore' };

const base64 = (bytes) => Buffer.from(bytes).toString('base64');

export function trustedRoot(url, { authority, log, timestamps }) {
  return {
    mediaType: MEDIA_TYPE,
    tlogs: [logInstance(url, log.publicKey, log.logId)],
    certificateAuthorities: [chain(url, [authority.rootCertificate])],
    ctlogs: [logInstance(url, authority.ctLog.publicKey, authority.ctLog.logID)],
    timestampAuthorities: [chain(`${url}/api/v1/timestamp`, timestamps.certificates)],
  };
}

function logInstance(baseUrl, publicKey, logId) {
  return {
    baseUrl,
    hashAlgorithm: 'SHA2_256',
    publicKey: {
      rawBytes: base64(publicKey),
      keyDetails: 'PKIX_ECDSA_P256_SHA_256',
      validFor: VALID_FOR,
    },
    logId: { keyId: base64(logId) },
  };
}

function chain(uri, certificates) {
  return {
    subject: SUBJECT,
    uri,
    certChain: { certificates: certificates.map((der) => ({ rawBytes: base64(der) })) },
    validFor: VALID_FOR,
  };
}
