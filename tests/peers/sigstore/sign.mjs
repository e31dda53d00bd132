// Signs with npm's sigstore at a private instance (server.mjs).
//
//     node sign.mjs message|dsse --instance URL --artifact FILE --bundle FILE
//         (--subject SUBJECT --issuer ISSUER [--claims JSON] | --key PRIVATE.PEM)
//         [--type application/vnd.in-toto+json] [--format 0.3|0.2]
//         [--no-tlog] [--no-tsa]
//
// `message` signs the bytes of the artifact; `dsse` wraps them, with the type, in
// an envelope and signs that. With `--subject` the key is made for this one
// signature, and the instance's authority certifies it; `--key` signs with a
// managed key. Writes the bundle; prints `{"bundle", "media_type"}`.

import { createHash, createPrivateKey, createPublicKey, sign } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { parseArgs } from 'node:util';

const require = createRequire(import.meta.url);
const { bundleToJSON } = require('@sigstore/bundle');
const {
  DSSEBundleBuilder, FulcioSigner, MessageSignatureBundleBuilder, RekorWitness, TSAWitness,
} = require('@sigstore/sign');

const MEDIA_TYPES = {
  '0.2': 'application/vnd.dev.sigstore.bundle+json;version=0.2',
  '0.3': 'application/vnd.dev.sigstore.bundle.v0.3+json',
};

const { values: options, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    instance: { type: 'string' },
    artifact: { type: 'string' },
    bundle: { type: 'string' },
    subject: { type: 'string' },
    issuer: { type: 'string' },
    claims: { type: 'string', default: '{}' },
    key: { type: 'string' },
    type: { type: 'string', default: 'application/vnd.in-toto+json' },
    format: { type: 'string', default: '0.3' },
    'no-tlog': { type: 'boolean', default: false },
    'no-tsa': { type: 'boolean', default: false },
  },
});

// Signs with a key of a file, as `FulcioSigner` does with one of its own.
class KeySigner {
  constructor(path) {
    this.key = createPrivateKey(readFileSync(path));
  }

  async sign(data) {
    const key = createPublicKey(this.key);
    const der = key.export({ type: 'spki', format: 'der' });
    const hint = createHash('sha256').update(der).digest('base64');
    const publicKey = key.export({ type: 'spki', format: 'pem' });
    const signature = sign('sha256', data, this.key);
    return { signature, key: { $case: 'publicKey', publicKey, hint } };
  }
}

async function getToken() {
  const { instance, subject, issuer, claims } = options;
  const body = JSON.stringify({ subject, issuer, claims: JSON.parse(claims) });
  const answer = await fetch(`${instance}/token`, { method: 'POST', body });
  if (!answer.ok) throw new Error(`no token: ${await answer.text()}`);
  return (await answer.json()).token;
}

// The builders choose 0.2 for messages and 0.3 for envelopes.
function as(format, bundle) {
  const { x509CertificateChain, certificate, ...material } = bundle.verificationMaterial;
  const leaf = certificate ?? x509CertificateChain?.certificates[0];
  const certified = {
    '0.2': { x509CertificateChain: { certificates: [leaf] } },
    '0.3': { certificate: leaf },
  };
  const verificationMaterial = { ...material, ...(leaf && certified[format]) };
  return { ...bundle, mediaType: MEDIA_TYPES[format], verificationMaterial };
}

const signer = options.key
  ? new KeySigner(options.key)
  : new FulcioSigner({ fulcioBaseURL: options.instance, identityProvider: { getToken } });
const witnesses = [
  !options['no-tlog'] && new RekorWitness({ rekorBaseURL: options.instance, entryType: 'dsse' }),
  !options['no-tsa'] && new TSAWitness({ tsaBaseURL: options.instance }),
].filter(Boolean);
const builders = { message: MessageSignatureBundleBuilder, dsse: DSSEBundleBuilder };
const builder = new builders[positionals[0]]({ signer, witnesses });
const made = await builder.create({ data: readFileSync(options.artifact), type: options.type });
const bundle = as(options.format, bundleToJSON(made));
writeFileSync(options.bundle, JSON.stringify(bundle));
console.log(JSON.stringify({ bundle: options.bundle, media_type: bundle.mediaType }));
