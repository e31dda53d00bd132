// A certificate authority like Fulcio. The mock's handler turns claims into
// extensions and its log gives the SCT. The certificates are made here: the
// mock's are all for URIs, with one serial number, and it wants PEM where
// Fulcio's API has base64 of PEM (`certificateSigningRequest`), and a token in
// the body where Python sends it in a header.

import { generateKeyPairSync, randomBytes, webcrypto } from 'node:crypto';

import { isEmail } from './identities.mjs';
import { asn1js, mock, x509 } from './packages.mjs';
import { Refused } from './refused.mjs';

const KEY = { name: 'ECDSA', namedCurve: 'P-256' };
const SIGNATURE = { name: 'ECDSA', hash: 'SHA-256' };
const ISSUER = 'CN=sigstore,O=peers.example';
const SCT_LIST_OID = '1.3.6.1.4.1.11129.2.4.2';
const LEAF_LIFETIME_MS = 10 * 60 * 1000;
const ROOT_LIFETIME_MS = 365 * 24 * 60 * 60 * 1000;

const { subtle } = webcrypto;

export class Authority {
  #keys;
  #root;
  #handler;

  static async create() {
    const authority = new Authority();
    authority.ctLog = await mock.initializeCTLog(
      generateKeyPairSync('ec', { namedCurve: 'prime256v1' }),
    );
    authority.#keys = await subtle.generateKey(KEY, true, ['sign', 'verify']);
    authority.#root = await makeRoot(authority.#keys);
    authority.#handler = mock.fulcioHandler(authority);
    return authority;
  }

  get rootCertificate() {
    return Buffer.from(this.#root.rawData);
  }

  // The answer to a request for a certificate by whom the claims name.
  async sign(request, { token }) {
    const csr = request.certificateSigningRequest;
    const plain = {
      credentials: { oidcIdentityToken: token },
      publicKeyRequest: request.publicKeyRequest,
      certificateSigningRequest: csr && Buffer.from(csr, 'base64').toString(),
    };
    const answer = await this.#handler.fn(JSON.stringify(plain));
    if (answer.statusCode !== 201) throw new Refused(answer.response);
    return JSON.parse(answer.response);
  }

  // Called by the mock's handler.
  async issueCertificate({ publicKey, subjectAltName, extensions }) {
    const key = await subtle.importKey('spki', publicKey, KEY, true, ['verify']);
    const profile = await this.#profile(key, subjectAltName, extensions);
    const unlogged = await x509.X509CertificateGenerator.create(profile, webcrypto);
    const issuerKey = await subtle.exportKey('spki', this.#keys.publicKey);
    const issuer = await subtle.digest('SHA-256', issuerKey);
    profile.extensions.push(sctList(await this.ctLog.log(unlogged.rawData, issuer)));
    const logged = await x509.X509CertificateGenerator.create(profile, webcrypto);
    return Buffer.from(logged.rawData);
  }

  async #profile(key, subject, extensions) {
    const name = { type: isEmail(subject) ? 'email' : 'url', value: subject };
    return {
      ...validity(LEAF_LIFETIME_MS),
      issuer: ISSUER,
      publicKey: key,
      signingAlgorithm: SIGNATURE,
      signingKey: this.#keys.privateKey,
      extensions: [
        new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
        new x509.ExtendedKeyUsageExtension([x509.ExtendedKeyUsage.codeSigning]),
        // Critical, since there is no subject.
        new x509.SubjectAlternativeNameExtension([name], true),
        ...(await keyIdentifiers(key, this.#keys.publicKey)),
        ...extensions.map(fulcioExtension),
      ],
    };
  }
}

async function makeRoot(keys) {
  const profile = {
    ...validity(ROOT_LIFETIME_MS),
    name: ISSUER,
    keys,
    signingAlgorithm: SIGNATURE,
    extensions: [
      new x509.BasicConstraintsExtension(true, undefined, true),
      new x509.KeyUsagesExtension(
        x509.KeyUsageFlags.cRLSign | x509.KeyUsageFlags.keyCertSign,
        true,
      ),
      ...(await keyIdentifiers(keys.publicKey, keys.publicKey)),
    ],
  };
  return x509.X509CertificateGenerator.createSelfSigned(profile, webcrypto);
}

async function keyIdentifiers(subject, issuer) {
  return [
    await x509.SubjectKeyIdentifierExtension.create(subject, false, webcrypto),
    await x509.AuthorityKeyIdentifierExtension.create(issuer, false, webcrypto),
  ];
}

function validity(lifetimeMs) {
  const serial = randomBytes(16);
  serial[0] = (serial[0] & 0x3f) | 0x40; // Positive, and of full length.
  const begin = new Date();
  return {
    serialNumber: serial.toString('hex'),
    notBefore: begin,
    notAfter: new Date(begin.getTime() + lifetimeMs),
  };
}

// Fulcio's first extensions hold bare text, the later ones a DER string.
function fulcioExtension({ oid, value, legacy }) {
  const text = legacy ? Buffer.from(value) : new asn1js.Utf8String({ value }).toBER(false);
  return new x509.Extension(oid, false, text);
}

// RFC 6962, 3.3. The SCT comes with its own length.
function sctList(sct) {
  const length = Buffer.alloc(2);
  length.writeUInt16BE(sct.byteLength);
  const list = new asn1js.OctetString({ valueHex: Buffer.concat([length, Buffer.from(sct)]) });
  return new x509.Extension(SCT_LIST_OID, false, list.toBER(false));
}
