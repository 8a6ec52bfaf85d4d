/** What is an IPv4 address, by Node's own judgement. */
import { isIPv4 } from 'node:net';

import fc from 'fast-check';
import { expect, it } from 'vitest';

import { addressToNumber, addressToText, isUnicast, parsePrefix } from '../../ts/base/address.js';

const octet = fc.oneof(fc.integer({ min: 0, max: 300 }).map(String), fc.constantFrom('', '00', '01', '1e1', ' 1', '-1', '+1', '٣'));
const texts = fc.oneof(
  fc.ipV4(),
  fc.array(octet, { minLength: 1, maxLength: 5 }).map((octets) => octets.join('.')),
  fc.string(),
);

it('isIPv4 agrees with Node, and isUnicast decides by the first octet', () => {
  fc.assert(
    fc.property(texts, (text) => {
      const first = isIPv4(text) ? Number(text.split('.')[0]) : 0;
      expect(isUnicast(text)).toBe(first > 0 && first < 224);
    }),
    { numRuns: 5_000 },
  );
});

it('parsePrefix accepts only the canonical form of an address and a length, without bits set beyond the length', () => {
  const lengths = fc.oneof(fc.integer({ min: 0, max: 40 }).map(String), fc.constantFrom('', '08', ' 8', '+8', '8.0', '8e0', '-0'));
  fc.assert(
    fc.property(texts, lengths, (address, length) => {
      const isWhole = /^(0|[1-9]\d?)$/.test(length) && Number(length) <= 32;
      const masked = isIPv4(address) && isWhole && (addressToNumber(address) >>> 0) % 2 ** (32 - Number(length)) === 0;
      expect(parsePrefix(`${address}/${length}`)).toEqual(masked ? { address, length: Number(length) } : undefined);
    }),
    { numRuns: 5_000 },
  );
  expect([parsePrefix('10.0.0.0'), parsePrefix('10.0.0.0/8/8'), parsePrefix('/8')]).toEqual([undefined, undefined, undefined]);
});

it('addressToText restores the address that addressToNumber has converted', () => {
  fc.assert(
    fc.property(fc.ipV4(), (text) => {
      expect(addressToText(addressToNumber(text))).toBe(text);
    }),
  );
});
