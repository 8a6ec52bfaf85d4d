/** IPv4 addresses and prefixes, in text form and as numbers. */
import { isIPv4 } from 'node:net';

export { isIPv4 };

/** The address as a number of 32 bits with a sign, which is the kind that costs nothing to keep. */
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

/** The text form of what `addressToNumber` gave. */
export function addressToText(number: number): string {
  return `${number >>> 24}.${(number >>> 16) & 255}.${(number >>> 8) & 255}.${number & 255}`;
}

/** An address that one host can have: not unspecified, not multicast, not broadcast or reserved. */
export function isUnicast(address: string): boolean {
  if (!isIPv4(address)) return false;
  const first = addressToNumber(address) >>> 24;
  return first !== 0 && first < 224;
}

/** The parts of `10.9.0.0/24`, or `undefined` where the text is no prefix, in its one spelling, or has bits set beyond its length. */
export function parsePrefix(text: string): { address: string; length: number } | undefined {
  const match = /^([\d.]+)\/(\d|[1-3]\d)$/.exec(text);
  const [address, length] = [match?.[1] ?? '', Number(match?.[2])];
  if (!isIPv4(address) || !(length <= 32)) return undefined;
  const hostBits = 2 ** (32 - length);
  return (addressToNumber(address) >>> 0) % hostBits === 0 ? { address, length } : undefined;
}
