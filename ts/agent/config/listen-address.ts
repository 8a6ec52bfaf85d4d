/** The TCP addresses that the agent may listen on. */
import { isIP } from 'node:net';

import { canonicalAddress } from '../../base/address.js';
import { expected } from '../../base/errors.js';

export interface ListenAddress {
  readonly host: string;
  /** 0 takes a free one. */
  readonly port: number;
}

const WHAT = 'an address and a port, such as `127.0.0.1:9810` or `[::1]:9810`';

/** The address of a text, or why there is none. */
export function parseListen(name: string, given: unknown, allowRemote: boolean): ListenAddress | string {
  const [, bracketed, plain, digits = ''] = /^(?:\[([^\]]+)\]|([^:]+)):(\d{1,5})$/.exec(typeof given === 'string' ? given : '') ?? [];
  const host = canonicalAddress(bracketed ?? plain ?? '');
  const port = Number(digits);
  if (host === undefined || (bracketed === undefined) !== (isIP(host) === 4) || port > 65_535) return expected(name, WHAT, given);
  if (allowRemote || isLoopback(host)) return { host, port };
  const why = 'with `allowRemote: true` others are permitted, and then everybody who reaches the address can read and withdraw routes';
  return `${expected(name, 'a loopback address (127.0.0.1 or ::1)', given)}: ${why}`;
}

export function formatListen({ host, port }: ListenAddress): string {
  return isIP(host) === 6 ? `[${host}]:${port}` : `${host}:${port}`;
}

export function isLoopback(address: string): boolean {
  return address === '::1' || (isIP(address) === 4 && address.startsWith('127.'));
}
