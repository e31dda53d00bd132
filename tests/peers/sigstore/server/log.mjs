// A Rekor v1 transparency log in memory: canonical entry bodies, a Merkle tree
// (RFC 6962) with true proofs, signed checkpoints and signed entry timestamps.
// The mock's log stores the proposal as it came, and each of its entries is
// alone in a tree, which strict verifiers do not accept.

import {
  X509Certificate, createHash, createPublicKey, generateKeyPairSync, randomInt, sign,
} from 'node:crypto';

import { canonicalize } from './packages.mjs';
import { Refused } from './refused.mjs';

const sha256 = (...parts) =>
  parts.reduce((hash, part) => hash.update(part), createHash('sha256')).digest();
const hashed = (bytes) => ({ algorithm: 'sha256', value: sha256(bytes).toString('hex') });

export class Log {
  #host;
  #keys = generateKeyPairSync('ec', { namedCurve: 'prime256v1' });
  #treeId = randomInt(2 ** 48 - 1);
  // The first leaf is nobody's: proto JSON leaves a zero index out, which
  // sigstore-python takes for a missing one.
  #leaves = [leafHash('the first entry')];

  constructor(host) {
    this.#host = host;
    this.publicKey = this.#keys.publicKey.export({ type: 'spki', format: 'der' });
    this.logId = sha256(this.publicKey);
  }

  // The entry as Rekor's API gives it.
  add(proposed) {
    const body = Buffer.from(canonicalize(canonicalBody(proposed)));
    const entry = {
      body: body.toString('base64'),
      integratedTime: Math.floor(Date.now() / 1000),
      logID: this.logId.toString('hex'),
      logIndex: this.#leaves.length,
    };
    this.#leaves.push(leafHash(body));
    const set = sign('sha256', Buffer.from(canonicalize(entry)), this.#keys.privateKey);
    const verification = {
      inclusionProof: this.#prove(entry.logIndex),
      signedEntryTimestamp: set.toString('base64'),
    };
    const uuid = leafHash(body).toString('hex');
    return { [uuid]: { ...entry, verification } };
  }

  #prove(index) {
    const root = rootOf(this.#leaves);
    return {
      checkpoint: this.#checkpoint(root),
      hashes: pathTo(index, this.#leaves).map((hash) => hash.toString('hex')),
      logIndex: index,
      rootHash: root.toString('hex'),
      treeSize: this.#leaves.length,
    };
  }

  #checkpoint(root) {
    const origin = `${this.#host} - ${this.#treeId}`;
    const note = `${origin}\n${this.#leaves.length}\n${root.toString('base64')}\n`;
    const signature = sign('sha256', Buffer.from(note), this.#keys.privateKey);
    const hinted = Buffer.concat([this.logId.subarray(0, 4), signature]).toString('base64');
    return `${note}\n\u2014 ${this.#host} ${hinted}\n`;
  }
}

// What Rekor makes of a proposal.
function canonicalBody({ kind, apiVersion, spec }) {
  const version = `${kind} ${apiVersion}`;
  if (version === 'hashedrekord 0.0.1') {
    const { data, signature } = spec;
    const publicKey = { content: canonicalKey(signature.publicKey.content) };
    const { algorithm, value } = data.hash;
    const { content } = signature;
    return {
      apiVersion,
      kind,
      spec: { data: { hash: { algorithm, value } }, signature: { content, publicKey } },
    };
  }
  if (version === 'dsse 0.0.1') {
    const { envelope, verifiers } = spec.proposedContent;
    const { payload, signatures } = JSON.parse(envelope);
    return {
      apiVersion,
      kind,
      spec: {
        envelopeHash: hashed(envelope),
        payloadHash: hashed(Buffer.from(payload, 'base64')),
        signatures: signatures.map(({ sig }, index) => ({
          signature: sig,
          verifier: canonicalKey(verifiers[index]),
        })),
      },
    };
  }
  throw new Refused(`no entries of kind ${version}`);
}

// Base64 of PEM, as base64 of PEM with lines of 64 characters.
function canonicalKey(encoded) {
  const pem = Buffer.from(encoded, 'base64').toString();
  const canonical = pem.includes('CERTIFICATE')
    ? new X509Certificate(pem).toString()
    : createPublicKey(pem).export({ type: 'spki', format: 'pem' });
  return Buffer.from(canonical).toString('base64');
}

// RFC 6962, 2.1.
function leafHash(body) {
  return sha256(Buffer.of(0), body);
}

function rootOf(leaves) {
  if (leaves.length === 1) return leaves[0];
  const half = split(leaves.length);
  return sha256(Buffer.of(1), rootOf(leaves.slice(0, half)), rootOf(leaves.slice(half)));
}

function pathTo(index, leaves) {
  if (leaves.length === 1) return [];
  const half = split(leaves.length);
  const [left, right] = [leaves.slice(0, half), leaves.slice(half)];
  return index < half
    ? [...pathTo(index, left), rootOf(right)]
    : [...pathTo(index - half, right), rootOf(left)];
}

// The largest power of two below `length`.
function split(length) {
  return 2 ** (31 - Math.clz32(length - 1));
}
