// An OpenID provider that signs any claims, and checks that they are its own.

import { generateKeyPairSync, sign, verify } from 'node:crypto';

import { Refused } from './refused.mjs';

const AUDIENCE = 'sigstore';
const LIFETIME_SECONDS = 600;

const encoded = (value) => Buffer.from(JSON.stringify(value)).toString('base64url');
const now = () => Math.floor(Date.now() / 1000);

export class Identities {
  #keys = generateKeyPairSync('ec', { namedCurve: 'prime256v1' });

  // A token for these claims.
  mint({ subject, issuer, claims = {} }) {
    if (typeof subject !== 'string' || typeof issuer !== 'string') {
      throw new Refused('a token needs a subject and an issuer');
    }
    const email = isEmail(subject) ? { email: subject, email_verified: true } : {};
    const registered = { iss: issuer, sub: subject, aud: AUDIENCE, iat: now() };
    const payload = { ...email, ...claims, ...registered, exp: now() + LIFETIME_SECONDS };
    const signed = `${encoded({ alg: 'ES256', typ: 'JWT' })}.${encoded(payload)}`;
    const key = { key: this.#keys.privateKey, dsaEncoding: 'ieee-p1363' };
    return `${signed}.${sign('sha256', Buffer.from(signed), key).toString('base64url')}`;
  }

  // The claims of a token of ours, with the token.
  check(token) {
    const [header, payload, signature] = String(token).split('.');
    const key = { key: this.#keys.publicKey, dsaEncoding: 'ieee-p1363' };
    const signed = Buffer.from(`${header}.${payload}`);
    if (!signature || !verify('sha256', signed, key, Buffer.from(signature, 'base64url'))) {
      throw new Refused('the identity token is not signed by this provider');
    }
    const claims = JSON.parse(Buffer.from(payload, 'base64url'));
    if (claims.exp <= now()) throw new Refused('the identity token has expired');
    return { claims, token };
  }
}

export function isEmail(subject) {
  return subject.includes('@') && !subject.includes('://');
}
