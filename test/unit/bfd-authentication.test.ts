/** The same rows as `crate/src/protocol/bfd/authentication/mod.rs`: what another implementation computes. */
import { inspect } from 'node:util';

import { describe, expect, it } from 'vitest';

import { BfdPacket } from '../../ts/protocol.js';
import { Authentication } from '../../ts/protocol/bfd/authentication/authentication.js';
import { ReceivedSequence, SentSequence } from '../../ts/protocol/bfd/authentication/sequence.js';
import { decodeBfd } from '../../ts/protocol/bfd/packet.js';
import type { AuthType, AuthVariant, SessionAuth } from '../../ts/protocol/bfd/options.js';

const SEQUENCE = 0x0102_0305;
const DETECT_US = 150_000;
const TYPES: readonly AuthType[] = ['simple', 'md5', 'meticulous-md5', 'sha1', 'meticulous-sha1'];

const PACKET = BfdPacket.unmarshal(Buffer.from('20c00318000000010000000200 00c3500000c35000000000'.replace(' ', ''), 'hex'));

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');

function auth(type: AuthType, secret = 'sesame', variant: AuthVariant = 'rfc', id = 7): SessionAuth {
  return { type, keys: [{ id, secret: Buffer.from(secret), variant }] };
}

function verifies(authentication: Authentication, bytes: Uint8Array, at = 1): boolean {
  return authentication.verify(BfdPacket.unmarshal(bytes), at, DETECT_US);
}

describe('a signed packet', () => {
  const header = '0000000100000002' + '0000c3500000c35000000000';

  it.each<[AuthType, AuthVariant, string, string, string]>([
    ['md5', 'rfc', '20c40330', '02180700', 'c2a2ed05d2e990987600c2fa683806fe'],
    ['meticulous-md5', 'rfc', '20c40330', '03180700', '9951b44abc06f0b4dfa9ebe854a531f5'],
    ['sha1', 'rfc', '20c40334', '041c0700', '1a9206c883ed4ca13d114f719e399c9e0fe12b28'],
    ['meticulous-sha1', 'rfc', '20c40334', '051c0700', 'f09658768b0f33e621022fe848d7b01cd36bbc73'],
    ['sha1', 'frr-hmac', '20c40334', '041c0700', '80a2191a2270269b625c079735cb40d1dbb8d414'],
    ['meticulous-sha1', 'frr-hmac', '20c40334', '051c0700', '54cf8b76fab78b10045c212f577e9546673ab320'],
  ])('of type %s, variant %s, is the one that another implementation signs', (type, variant, first, section, digest) => {
    const signed = new Authentication(auth(type, 'sesame', variant), SEQUENCE - 1).sign(PACKET, 1);
    expect(hex(signed)).toBe(`${first}${header}${section}01020305${digest}`);
  });

  it('of type simple contains the password', () => {
    const signed = new Authentication(auth('simple'), 0).sign(PACKET, 1);
    expect(hex(signed)).toBe(`20c40321${header}010907${hex(Buffer.from('sesame'))}`);
  });

  it.each(TYPES)('of type %s is accepted by its key, and refused with any bit changed', (type) => {
    const ours = (): Authentication => new Authentication(auth(type), 5);
    const signed = ours().sign(PACKET, 1);
    expect(verifies(ours(), signed)).toBe(true);
    for (let bit = 0; bit < signed.length * 8; bit += 1) {
      const bytes = signed.slice();
      bytes[bit >> 3] = (bytes[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      // A simple password covers itself only; the length field says where it ends.
      const isCovered = type !== 'simple' || bit >= 24 * 8 || bit >> 3 === 3;
      const packet = decodeBfd(bytes);
      // What is no packet any more, or has no section, is dropped before.
      if (typeof packet === 'string' || !packet.isAuthenticated) continue;
      expect(ours().verify(packet, 1, DETECT_US), `bit ${bit}`).toBe(!isCovered);
    }
    expect(verifies(new Authentication(auth(type, 'simsim'), 5), signed), 'another secret').toBe(false);
  });

  it('that is played back is refused', () => {
    const [peer, ours] = [new Authentication(auth('meticulous-sha1'), 5), new Authentication(auth('meticulous-sha1'), 0)];
    const [first, second] = [peer.sign(PACKET, 1), peer.sign(PACKET, 2)];
    const accepted = [first, first, second, first].map((bytes, at) => verifies(ours, bytes, at + 1));
    expect(accepted).toEqual([true, false, true, false]);
  });
});

describe('a session with keys', () => {
  it('rolls them over: each confirms packets, and the first signs', () => {
    const [old, next] = [
      { id: 1, secret: Buffer.from('sesame'), variant: 'rfc' } as const,
      { id: 2, secret: Buffer.from('open'), variant: 'rfc' } as const,
    ];
    const of = (...keys: (typeof old | typeof next)[]): SessionAuth => ({ type: 'meticulous-sha1', keys });
    const [peer, ours] = [new Authentication(of(old), 100), new Authentication(of(old), 200)];
    const accepts = (from: Authentication, to: Authentication, at: number): [number | undefined, boolean] => {
      const signed = from.sign(PACKET, at);
      return [signed[26], verifies(to, signed, at)];
    };
    expect(accepts(peer, ours, 1)).toEqual([1, true]);
    ours.setKeys(of(next, old));
    expect(ours.keyId).toBe(2);
    expect(accepts(peer, ours, 2), 'the peer still signs with the old key').toEqual([1, true]);
    expect(accepts(ours, peer, 3), 'the peer does not have the new key yet').toEqual([2, false]);
    peer.setKeys(of(next, old));
    expect([accepts(ours, peer, 4), accepts(peer, ours, 5)]).toEqual([
      [2, true],
      [2, true],
    ]);
  });

  it('shows no secret in any text', () => {
    const authentication = new Authentication(auth('sha1'), 1);
    for (const text of [inspect(authentication, { depth: 9, showHidden: true }), JSON.stringify(authentication)]) {
      expect(text).not.toMatch(/sesame|73 65 73|115, ?101/);
    }
  });
});

describe('the sequence numbers', () => {
  it('grow with each packet if meticulous, and once a second otherwise', () => {
    const meticulous = new SentSequence(0xffff_fffe);
    expect([1, 1, 2].map((at) => meticulous.next(true, at))).toEqual([0xffff_ffff, 0, 1]);
    const slow = new SentSequence(7);
    const numbers = Array.from({ length: 41 }, (_, step) => slow.next(false, 1 + step * 50_000));
    expect([numbers[0], numbers[19], numbers[20], numbers[40]]).toEqual([8, 8, 9, 10]);
  });

  it('outside of the window are refused until two detection times are silent', () => {
    const received = new ReceivedSequence();
    expect(received.mayBeNext(0, 9, true), 'no number is known yet').toBe(true);
    received.note(0xffff_fffd, 1_000_000);
    const rows: [number, boolean, boolean][] = [
      [0xffff_fffc, false, false],
      [0xffff_fffd, false, true],
      [0xffff_fffd, true, false],
      [0xffff_fffe, true, true],
      [6, true, true],
      [7, false, false],
    ];
    for (const [number, isMeticulous, expected] of rows) expect(received.mayBeNext(number, 9, isMeticulous), `${number}`).toBe(expected);
    received.forgetIfSilent(1_299_999, DETECT_US);
    expect(received.mayBeNext(7, 9, false)).toBe(false);
    received.forgetIfSilent(1_300_000, DETECT_US);
    expect(received.mayBeNext(7, 9, false)).toBe(true);
  });
});
