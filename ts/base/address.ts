/** IPv4 addresses and prefixes, in text form and as numbers. */
import { isIPv4 } from 'node:net';

export { isIPv4 };

/** The address as a signed number of 32 bits, which V8 stores without an allocation. */
export function addressToNumber(address: string): number {
  let [number, octet] = [0, 0];
  for (let at = 0; at < address.length; at += 1) {
    const code = address.charCodeAt(at);
    if (code === DOT) [number, octet] = [(number << 8) | octet, 0];
    else octet = octet * 10 + code - ZERO;
  }
  return (number << 8) | octet;
}

const DOT = 46;
const ZERO = 48;

/** The text of an address from `addressToNumber`. */
export function addressToText(number: number): string {
  return `${number >>> 24}.${(number >>> 16) & 255}.${(number >>> 8) & 255}.${number & 255}`;
}

/** As `addressToNumber`, but `undefined` if the text is no address in canonical form. One pass, since there may be many. */
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

/** Whether an address can belong to one host: not unspecified, multicast, broadcast or reserved. */
export function isUnicast(address: string): boolean {
  const number = parseAddress(address);
  if (number === undefined) return false;
  const first = number >>> 24;
  return first !== 0 && first < 224;
}

/** The parts of `10.9.0.0/24`; `undefined` if the text is no prefix in canonical form, or has bits set beyond its length. */
export function parsePrefix(text: string): { address: string; length: number } | undefined {
  const slash = text.indexOf('/');
  const [address, digits] = [text.slice(0, Math.max(slash, 0)), text.slice(slash + 1)];
  const [number, length] = [parseAddress(address), Number(digits)];
  // Canonical: no sign, no white space, no leading zero.
  if (number === undefined || !(length >= 0 && length <= 32) || String(length) !== digits) return undefined;
  const hostBits = 2 ** (32 - length);
  return (number >>> 0) % hostBits === 0 ? { address, length } : undefined;
}
