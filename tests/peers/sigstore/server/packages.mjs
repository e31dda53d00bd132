// The packages, from where `cargo xtask peers` put them: it gives their folder
// in NODE_PATH, which only `require` reads. What `@sigstore/mock` itself builds
// on is taken from its place, so that there is one copy of each.

import { createRequire } from 'node:module';

const require = createRequire(import.meta.url);

export const mock = require('@sigstore/mock');

const ofMock = createRequire(require.resolve('@sigstore/mock'));

export const asn1js = ofMock('asn1js');
export const canonicalize = ofMock('canonicalize');
export const pkijs = ofMock('pkijs');
export const x509 = ofMock('@peculiar/x509');
