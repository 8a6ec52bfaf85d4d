/** The interfaces and addresses of this host. */
import { existsSync, readFileSync } from 'node:fs';
import { isIPv6 } from 'node:net';
import { networkInterfaces } from 'node:os';

import { addressWords, canonicalIPv6 } from './address.js';
import { isInterfaceName } from './route.js';

/** The interfaces and addresses of a host. */
export interface Host {
  interfaceOf(address: string): string;
  hasInterface(name: string): boolean;
  isLocalAddress(address: string): boolean;
}

/** The interface that has an address; the first loopback interface for loopback addresses; empty if there is none. */
export function interfaceOf(address: string): string {
  for (const [name, addresses = []] of Object.entries(networkInterfaces())) {
    if (addresses.some((assigned) => assigned.address === address || (assigned.internal && isLoopback(address)))) return withoutLabel(name);
  }
  return '';
}

/** Node lists an address under its label, if it has one: `eth0:1`. */
function withoutLabel(name: string): string {
  return name.replace(/:.*/, '');
}

/** Whether the host has an interface with this name, with or without addresses. */
export function hasInterface(name: string): boolean {
  // Node lists labels of addresses, too (`eth0:1`); the name of an interface has no colon.
  if (name.includes(':')) return false;
  // That directory has other entries, too; only interfaces have an index.
  return isInterfaceName(name) && (existsSync(`/sys/class/net/${name}/ifindex`) || networkInterfaces()[name] !== undefined);
}

/** The index of an interface, which is another when the interface is made anew; `undefined` where Linux does not tell it. */
export function interfaceIndex(name: string): number | undefined {
  try {
    return isInterfaceName(name) ? Number(readFileSync(`/sys/class/net/${name}/ifindex`, 'utf8')) : undefined;
  } catch {
    // There is no such interface now, or the system is not Linux.
    return undefined;
  }
}

/** Whether this host has an address. */
export function isLocalAddress(address: string): boolean {
  return isLoopback(address) || interfaceOf(address) !== '' || isInLocalTable(address);
}

/** Asks Linux: Node does not list addresses of interfaces without carrier, or in the first second with carrier. */
function isInLocalTable(address: string): boolean {
  if (isIPv6(address)) return isInListOfIPv6(address);
  const table = '/proc/net/fib_trie';
  if (!existsSync(table)) return false;
  const lines = readFileSync(table, 'utf8').split('\n');
  return lines.some((line, index) => line.endsWith(`-- ${address}`) && lines[index + 1]?.trim() === '/32 host LOCAL');
}

/** Each line of the list begins with an address, in 32 hexadecimal digits. */
function isInListOfIPv6(address: string): boolean {
  const list = '/proc/net/if_inet6';
  const canonical = canonicalIPv6(address);
  if (canonical === undefined || !existsSync(list)) return false;
  const digits = addressWords(canonical)
    .map((word) => word.toString(16).padStart(8, '0'))
    .join('');
  return readFileSync(list, 'utf8')
    .split('\n')
    .some((line) => line.startsWith(`${digits} `));
}

function isLoopback(address: string): boolean {
  return address.startsWith('127.');
}

export const THIS_HOST: Host = { interfaceOf, hasInterface, isLocalAddress };
