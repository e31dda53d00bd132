// A timestamp authority. The mock makes the token; what strict clients need is
// added here: requests as DER, the request's own nonce, whole seconds (both
// sigstore-rs and npm refuse fractions), a serial number for each token.

import { generateKeyPairSync, randomBytes } from 'node:crypto';

import { asn1js, mock, pkijs } from './packages.mjs';
import { Refused } from './refused.mjs';

export class TimestampAuthority {
  #tsa;

  static async create() {
    const authority = new TimestampAuthority();
    const keys = generateKeyPairSync('ec', { namedCurve: 'prime256v1' });
    authority.#tsa = await mock.initializeTSA(keys);
    authority.#tsa.getCurrentTime = () => new Date(Math.floor(Date.now() / 1000) * 1000);
    return authority;
  }

  // The signing certificate, then the root.
  get certificates() {
    return [this.#tsa.intCertificate, this.#tsa.rootCertificate];
  }

  async stamp(body, type) {
    if (type !== 'application/timestamp-query') return this.#stampJson(body);
    const { messageImprint, nonce, certReq } = parse(body);
    // The mock's own, but for what it says of the request.
    const tstInfo = (request) => info(this.#tsa, request, nonce);
    const faithful = Object.create(this.#tsa, { tstInfo: { value: tstInfo } });
    return Buffer.from(
      await faithful.timestamp({
        artifactHash: messageImprint.hashedMessage.valueBlock.valueHexView,
        hashAlgorithmOID: messageImprint.hashAlgorithm.algorithmId,
        policyOID: '1.3.6.1.4.1.57264.2',
        certReq: certReq ?? false,
      }),
    );
  }

  async #stampJson(body) {
    const answer = await mock.tsaHandler(this.#tsa).fn(body.toString());
    if (answer.statusCode !== 201) throw new Refused(answer.response);
    return Buffer.from(answer.response);
  }
}

function parse(body) {
  try {
    return pkijs.TimeStampReq.fromBER(body);
  } catch (error) {
    throw new Refused(`not a timestamp request: ${error.message}`);
  }
}

function info(tsa, request, nonce) {
  const made = tsa.tstInfo({ ...request, nonce: 0 });
  made.serialNumber = new asn1js.Integer({ valueHex: positive(randomBytes(8)) });
  made.nonce = nonce;
  return made;
}

function positive(bytes) {
  bytes[0] = (bytes[0] & 0x3f) | 0x40;
  return bytes;
}
