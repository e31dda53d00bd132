// A private sigstore instance on loopback: certificate authority with its
// certificate transparency log, timestamp authority, Rekor v1 log, and an
// identity provider that says whatever it is asked to say.
//
//     node server.mjs [--port 0]
//
// Prints one line, `{"url", "token", "trusted_root"}`, and serves until its
// standard input ends. All state is in memory; every start makes new keys.
//
//     POST /token                 {"subject", "issuer", "claims": {}} -> {"token"}
//     GET  /trusted_root.json     what a verifier needs to know
//     POST /api/v2/signingCert    Fulcio
//     POST /api/v1/log/entries    Rekor v1: hashedrekord 0.0.1 and dsse 0.0.1
//     POST /api/v1/timestamp      RFC 3161, as DER or as the JSON of npm
//
// A subject like `a@b` becomes an e-mail name in the certificate, any other a
// URI. Claims of GitHub (`repository`, `ref`, ...) become the extensions that
// Fulcio makes of them.
//
// It is as strict as its verifiers need, not as Fulcio and Rekor are: the proof
// that the signer has the key and the signatures logged are not checked.

import { createServer } from 'node:http';
import { parseArgs } from 'node:util';

import { Authority } from './server/authority.mjs';
import { Identities } from './server/identities.mjs';
import { Log } from './server/log.mjs';
import { TimestampAuthority } from './server/timestamps.mjs';
import { Refused } from './server/refused.mjs';
import { trustedRoot } from './server/trusted_root.mjs';

const BODY_BYTES_MAX = 4 * 1024 * 1024;

const { values } = parseArgs({ options: { port: { type: 'string', default: '0' } } });

const json = (status, value) => ({ status, type: 'application/json', body: JSON.stringify(value) });

function routes(url, { authority, identities, log, timestamps }) {
  return {
    'GET /trusted_root.json': () => json(200, trustedRoot(url, { authority, log, timestamps })),
    'POST /token': (body) => json(200, { token: identities.mint(JSON.parse(body)) }),
    'POST /api/v2/signingCert': async (body, headers) => {
      const request = JSON.parse(body);
      const bearer = /^Bearer (.+)$/.exec(headers.authorization ?? '')?.[1];
      const claims = identities.check(request.credentials?.oidcIdentityToken ?? bearer);
      return json(201, await authority.sign(request, claims));
    },
    'POST /api/v1/log/entries': (body) => json(201, log.add(JSON.parse(body))),
    'POST /api/v1/timestamp': async (body, headers) => ({
      status: 201,
      type: 'application/timestamp-reply',
      body: await timestamps.stamp(body, headers['content-type']),
    }),
  };
}

async function read(request) {
  const chunks = [];
  let length = 0;
  for await (const chunk of request) {
    length += chunk.length;
    if (length > BODY_BYTES_MAX) throw new Refused('the request is too large');
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

async function answer(table, request) {
  const route = table[`${request.method} ${request.url}`];
  if (!route) return json(404, { code: 404, message: `no ${request.method} ${request.url}` });
  try {
    return await route(await read(request), request.headers);
  } catch (error) {
    const status = error instanceof Refused || error instanceof SyntaxError ? 400 : 500;
    if (status === 500) console.error(error);
    return json(status, { code: status, message: error.message });
  }
}

const server = createServer();
server.listen(Number(values.port), '127.0.0.1', async () => {
  const url = `http://127.0.0.1:${server.address().port}`;
  const table = routes(url, {
    authority: await Authority.create(),
    identities: new Identities(),
    log: new Log(new URL(url).host),
    timestamps: await TimestampAuthority.create(),
  });
  server.on('request', async (request, response) => {
    const { status, type, body } = await answer(table, request);
    response.writeHead(status, { 'content-type': type }).end(body);
  });
  const urls = { url, token: `${url}/token`, trusted_root: `${url}/trusted_root.json` };
  console.log(JSON.stringify(urls));
});

process.stdin.on('end', () => process.exit(0)).resume();
