// Verifies a bundle with npm's sigstore, offline.
//
//     node verify.mjs --bundle FILE --trusted-root FILE [--artifact FILE]
//         (--identity SUBJECT --issuer ISSUER | --key PUBLIC.PEM)
//         [--tlogs 1] [--timestamps 1]
//
// `--artifact` is for a signed message; an envelope has its payload in it.
// `--tlogs` and `--timestamps` say how many of each there must be at least; a log
// entry counts as a timestamp too.
//
// Prints `{"ok": true, "identity", "payload_type", "payload"}`, the payload of an
// envelope in base64, or `{"ok": false, "code", "error"}` with exit code 1.

import { createPublicKey } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { parseArgs } from 'node:util';

const require = createRequire(import.meta.url);
const { bundleFromJSON } = require('@sigstore/bundle');
const { TrustedRoot } = require('@sigstore/protobuf-specs');
const { toSignedEntity, toTrustMaterial, Verifier } = require('@sigstore/verify');

const { values: options } = parseArgs({
  options: {
    bundle: { type: 'string' },
    'trusted-root': { type: 'string' },
    artifact: { type: 'string' },
    identity: { type: 'string' },
    issuer: { type: 'string' },
    key: { type: 'string' },
    tlogs: { type: 'string', default: '1' },
    timestamps: { type: 'string', default: '1' },
  },
});

const readJson = (path) => JSON.parse(readFileSync(path));

if (!options.key && !(options.identity && options.issuer)) {
  throw new Error('whose signature? --identity and --issuer, or --key');
}

function verify() {
  const bundle = bundleFromJSON(readJson(options.bundle));
  const artifact = options.artifact && readFileSync(options.artifact);
  const entity = toSignedEntity(bundle, artifact);
  if ((entity.key.$case === 'public-key') !== Boolean(options.key)) {
    throw new Error('the bundle is not signed in the way that was asked for');
  }
  const key = options.key && createPublicKey(readFileSync(options.key));
  const root = TrustedRoot.fromJSON(readJson(options['trusted-root']));
  const trust = toTrustMaterial(root, () => ({ publicKey: key, validFor: () => true }));
  const verifier = new Verifier(trust, {
    tlogThreshold: Number(options.tlogs),
    timestampThreshold: Number(options.timestamps),
  });
  const policy = options.key
    ? undefined
    : { subjectAlternativeName: options.identity, extensions: { issuer: options.issuer } };
  const signer = verifier.verify(entity, policy);
  const { $case, dsseEnvelope } = bundle.content;
  const envelope = $case === 'dsseEnvelope' ? dsseEnvelope : undefined;
  return {
    ok: true,
    identity: signer.identity?.subjectAlternativeName,
    payload_type: envelope?.payloadType,
    payload: envelope?.payload.toString('base64'),
  };
}

try {
  console.log(JSON.stringify(verify()));
} catch (error) {
  console.log(JSON.stringify({ ok: false, code: error.code, error: error.message }));
  process.exitCode = 1;
}
