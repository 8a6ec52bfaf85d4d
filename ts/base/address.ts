/** Addresses and prefixes in text form; those of IPv4 also as numbers. */
import { isIPv4, isIPv6 } from 'node:net';

export { isIPv4 };

/** An address in few bytes: of IPv4 a signed number of 32 bits, which V8 stores without an allocation; of IPv6 its canonical text. */
export type PackedAddress = number | string;

/** Packs a valid address; of IPv6, one in canonical form. */
export function packAddress(address: string): PackedAddress {
  let [number, octet] = [0, 0];
  for (let at = 0; at < address.length; at += 1) {
    const code = address.charCodeAt(at);
    if (code === DOT) [number, octet] = [(number << 8) | octet, 0];
    else if (code >= ZERO && code <= ZERO + 9) octet = octet * 10 + code - ZERO;
    else return address;
  }
  return (number << 8) | octet;
}

const DOT = 46;
const ZERO = 48;

/** The text of a packed address. */
export function addressText(packed: PackedAddress): string {
  if (typeof packed === 'string') return packed;
  return `${packed >>> 24}.${(packed >>> 16) & 255}.${(packed >>> 8) & 255}.${packed & 255}`;
}

/** The four words of an IPv6 address in canonical form. */
export function addressWords(canonical: string): [number, number, number, number] {
  const [a = 0, b = 0, c = 0, d = 0, e = 0, f = 0, g = 0, h = 0] = groupsOf(canonical);
  return [a * 0x1_0000 + b, c * 0x1_0000 + d, e * 0x1_0000 + f, g * 0x1_0000 + h];
}

/** The number of an IPv4 address; `undefined` if the text is none in canonical form. One pass, since there may be many. */
function parseAddress(text: string): number | undefined {
  let [number, octet, digits, dots] = [0, 0, 0, 0];
  for (let at = 0; at < text.length; at += 1) {
    const code = text.charCodeAt(at);
    if (code === DOT) {
      if (digits === 0) return undefined;
      [number, octet, digits, dots] = [(number << 8) | octet, 0, 0, dots + 1];
    } else {
      const isLeadingZero = digits > 0 && octet === 0;
      octet = octet * 10 + code - ZERO;
      digits += 1;
      if (code < ZERO || code > ZERO + 9 || isLeadingZero || octet > 255) return undefined;
    }
  }
  return dots === 3 && digits > 0 ? (number << 8) | octet : undefined;
}

/** Whether an IPv4 address can belong to one host: not unspecified, multicast, broadcast or reserved. */
export function isUnicast(address: string): boolean {
  const number = parseAddress(address);
  if (number === undefined) return false;
  const first = number >>> 24;
  return first !== 0 && first < 224;
}

/** The parts of a prefix. */
export interface Prefix {
  readonly address: string;
  readonly length: number;
}

/** The parts of `10.9.0.0/24`; `undefined` if the text is no prefix in canonical form, or has bits set beyond its length. */
export function parsePrefix(text: string): Prefix | undefined {
  const { address, length } = splitPrefix(text);
  const number = parseAddress(address);
  if (number === undefined || !(length >= 0 && length <= 32)) return undefined;
  const hostBits = 2 ** (32 - length);
  return (number >>> 0) % hostBits === 0 ? { address, length } : undefined;
}

/** The length is NaN unless it is written without sign, white space and leading zero. */
function splitPrefix(text: string): Prefix {
  const slash = text.indexOf('/');
  const [address, digits] = [text.slice(0, Math.max(slash, 0)), text.slice(slash + 1)];
  const length = Number(digits);
  return { address, length: String(length) === digits ? length : NaN };
}

export type AddressFamily = 'IPv4' | 'IPv6';

/** The family of a valid address or prefix. */
export function familyOf(address: string): AddressFamily {
  return looksLikeIPv6(address) ? 'IPv6' : 'IPv4';
}

/** An address of either family in canonical form; `undefined` if the text is none, names a zone, or stands for an IPv4 address. */
export function canonicalAddress(text: string): string | undefined {
  return isIPv4(text) ? text : canonicalIPv6(text);
}

/** As `canonicalAddress`, and `undefined` for an address that cannot belong to one host. */
export function unicastAddress(text: string): string | undefined {
  if (looksLikeIPv6(text)) return unicastIPv6(text);
  return isUnicast(text) ? text : undefined;
}

/** Whether two texts are the same address, in any form. */
export function isSameAddress(left: string, right: string): boolean {
  if (left === right) return true;
  const canonical = looksLikeIPv6(left) && looksLikeIPv6(right) ? canonicalIPv6(left) : undefined;
  return canonical !== undefined && canonical === canonicalIPv6(right);
}

/** Whether an address in canonical form belongs to one link alone: fe80::/10 (RFC 4291 §2.5.6). */
export function isLinkLocal(canonical: string): boolean {
  return /^fe[89ab].:/.test(canonical);
}

/** Whether a value is a text that can only be an address or a prefix of IPv6. */
export function looksLikeIPv6(value: unknown): boolean {
  return typeof value === 'string' && value.includes(':');
}

/**
 * An IPv6 address as RFC 5952 writes it, so that equal addresses are equal texts. `undefined` if the text is no IPv6 address,
 * names a zone, or stands for an IPv4 address (`::ffff:10.0.0.1`).
 */
export function canonicalIPv6(text: string): string | undefined {
  if (!isIPv6(text) || text.includes('%')) return undefined;
  // The URL standard writes an IPv6 address as RFC 5952 does, but for those that stand for an IPv4 address.
  const canonical = new URL(`http://[${text}]`).hostname.slice(1, -1);
  return MAPPED_IPV4.test(canonical) ? undefined : canonical;
}

const MAPPED_IPV4 = /^::ffff:[0-9a-f]+:[0-9a-f]+$/;

/** As `canonicalIPv6`, and `undefined` for an address that cannot belong to one host: an unspecified or a multicast one. */
export function unicastIPv6(text: string): string | undefined {
  const canonical = canonicalIPv6(text);
  return canonical === undefined || canonical === '::' || /^ff..:/.test(canonical) ? undefined : canonical;
}

/** The parts of `2001:db8::/64`, the address in canonical form; `undefined` if the text is no prefix, or has bits set beyond its length. */
export function parsePrefixIPv6(text: string): Prefix | undefined {
  const { address, length } = splitPrefix(text);
  const canonical = canonicalIPv6(address);
  if (canonical === undefined || !(length >= 0 && length <= 128)) return undefined;
  const hasHostBits = groupsOf(canonical).some((group, index) => {
    const kept = Math.min(Math.max(length - index * 16, 0), 16);
    return (group & (0xffff >>> kept)) !== 0;
  });
  return hasHostBits ? undefined : { address: canonical, length };
}

/** The eight groups of an address in canonical form. */
function groupsOf(canonical: string): number[] {
  const [left = [], right = []] = canonical.split('::').map((half) => (half === '' ? [] : half.split(':')));
  const zeros = Array.from({ length: 8 - left.length - right.length }, () => '0');
  return [...left, ...zeros, ...right].map((group) => Number.parseInt(group, 16));
}
