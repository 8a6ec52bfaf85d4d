/** IPv4 addresses and prefixes in text form. */
import { isIPv4 } from 'node:net';

export { isIPv4 };

/** The address as a number of 32 bits. */
function toNumber(address: string): number {
  return address.split('.').reduce((number, octet) => number * 256 + Number(octet), 0);
}

/** An address that one host can have: not unspecified, not multicast, not broadcast or reserved. */
export function isUnicast(address: string): boolean {
  if (!isIPv4(address)) return false;
  const first = Number(address.split('.')[0]);
  return first !== 0 && first < 224;
}

/** The parts of `10.9.0.0/24`, or `undefined` where the text is no prefix or has bits set beyond its length. */
export function parsePrefix(text: string): { address: string; length: number } | undefined {
  const match = /^([\d.]+)\/(\d{1,2})$/.exec(text);
  const [address, length] = [match?.[1] ?? '', Number(match?.[2])];
  if (!isIPv4(address) || !(length <= 32)) return undefined;
  const hostBits = 2 ** (32 - length);
  return toNumber(address) % hostBits === 0 ? { address, length } : undefined;
}
