/** What is an address, by Node's own judgement. */
import { isIPv4, SocketAddress } from 'node:net';

import fc from 'fast-check';
import { expect, it } from 'vitest';

import { packAddress, addressText, canonicalIPv6, isUnicast, parsePrefix, parsePrefixIPv6, unicastIPv6 } from '../../ts/base/address.js';

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
      const masked = isIPv4(address) && isWhole && (Number(packAddress(address)) >>> 0) % 2 ** (32 - Number(length)) === 0;
      expect(parsePrefix(`${address}/${length}`)).toEqual(masked ? { address, length: Number(length) } : undefined);
    }),
    { numRuns: 5_000 },
  );
  expect([parsePrefix('10.0.0.0'), parsePrefix('10.0.0.0/8/8'), parsePrefix('/8')]).toEqual([undefined, undefined, undefined]);
});

const group = fc.oneof({ weight: 2, arbitrary: fc.constant(0) }, { weight: 1, arbitrary: fc.integer({ min: 0, max: 0xffff }) });
const ipv6Groups = fc.array(group, { minLength: 8, maxLength: 8 });

it('canonicalIPv6 gives one text to all texts of an address, and the system calls it by that text', () => {
  fc.assert(
    fc.property(ipv6Groups, (groups) => {
      const short = groups.map((number) => number.toString(16));
      const long = short.map((digits) => digits.padStart(4, '0').toUpperCase());
      const canonical = canonicalIPv6(short.join(':'));
      expect(canonicalIPv6(long.join(':'))).toBe(canonical);
      // The system writes an address whose first six groups are 0 as if it stood for an IPv4 address.
      if (groups.slice(0, 5).every((number) => number === 0)) return;
      expect(new SocketAddress({ address: short.join(':'), family: 'ipv6' }).address).toBe(canonical);
      expect(canonicalIPv6(canonical ?? '')).toBe(canonical);
    }),
    { numRuns: 5_000 },
  );
});

it.each([
  ['2001:DB8:0:0:1:0:0:1', '2001:db8::1:0:0:1'],
  ['2001:db8:0:1:1:1:1:1', '2001:db8:0:1:1:1:1:1'],
  ['FE80::0001', 'fe80::1'],
  ['0:0:0:0:0:0:0:1', '::1'],
  ['64:ff9b::192.0.2.33', '64:ff9b::c000:221'],
])('the IPv6 address %s is %s in canonical form', (text, canonical) => {
  expect(canonicalIPv6(text)).toBe(canonical);
  expect(unicastIPv6(text)).toBe(canonical);
});

it.each(['', '10.0.0.1', 'fe80::1%eth0', '::ffff:10.0.0.1', '::ffff:a00:1', '1::2::3', '2001:db8::1/64', '[::1]', ' ::1', '::1\n', 'g::'])(
  '%j is no IPv6 address of a route',
  (text) => {
    expect(canonicalIPv6(text)).toBeUndefined();
  },
);

it.each(['::', 'ff02::1', 'ffff::'])('the IPv6 address %s belongs to no single host', (text) => {
  expect(canonicalIPv6(text)).toBe(text);
  expect(unicastIPv6(text)).toBeUndefined();
});

it('parsePrefixIPv6 accepts an address without bits set beyond the length, and no other', () => {
  fc.assert(
    fc.property(ipv6Groups, fc.integer({ min: 0, max: 128 }), (groups, length) => {
      const bits = groups.map((number) => number.toString(2).padStart(16, '0')).join('');
      const address = groups.map((number) => number.toString(16)).join(':');
      const canonical = canonicalIPv6(address);
      const isWhole = !bits.slice(length).includes('1') && canonical !== undefined;
      expect(parsePrefixIPv6(`${address}/${length}`)).toEqual(isWhole ? { address: canonical, length } : undefined);
    }),
    { numRuns: 5_000 },
  );
  expect(parsePrefixIPv6('::/0')).toEqual({ address: '::', length: 0 });
  for (const text of ['::', '::/129', '::/-0', '::/ 0', '::/08', '/0', '::/0/0', '10.0.0.0/8'])
    expect(parsePrefixIPv6(text)).toBeUndefined();
});

it('addressText restores the address that packAddress has converted', () => {
  fc.assert(
    fc.property(fc.ipV4(), (text) => {
      expect(addressText(packAddress(text))).toBe(text);
    }),
  );
});
