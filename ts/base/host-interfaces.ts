/** The interfaces and addresses of this host. */
import { existsSync, readFileSync } from 'node:fs';
import { networkInterfaces } from 'node:os';

import { isInterfaceName } from './route.js';

/** The interface that has an address; the first loopback interface for the loopback net. */
export function interfaceOf(address: string): string {
  for (const [name, addresses = []] of Object.entries(networkInterfaces())) {
    if (addresses.some((it) => it.address === address || (it.internal && isLoopback(address)))) return withoutLabel(name);
  }
  return '';
}

/** Node calls an interface by the label of its address, where that has one: `eth0:1`. */
function withoutLabel(name: string): string {
  return name.replace(/:.*/, '');
}

/** Whether the host has an interface of that name, with an address or without. */
export function hasInterface(name: string): boolean {
  // Node lists the labels of addresses, too (`eth0:1`); an interface has no colon in its name.
  if (name.includes(':')) return false;
  // Of what lies in that folder, only interfaces have an index.
  return isInterfaceName(name) && (existsSync(`/sys/class/net/${name}/ifindex`) || networkInterfaces()[name] !== undefined);
}

/** Whether an address is one of this host. */
export function isLocalAddress(address: string): boolean {
  return isLoopback(address) || interfaceOf(address) !== '' || isInLocalTable(address);
}

/** Linux's own word: Node does not list addresses of interfaces that have no carrier, or have had it for less than a second. */
function isInLocalTable(address: string): boolean {
  const table = '/proc/net/fib_trie';
  if (!existsSync(table)) return false;
  const lines = readFileSync(table, 'utf8').split('\n');
  return lines.some((line, index) => line.endsWith(`-- ${address}`) && lines[index + 1]?.trim() === '/32 host LOCAL');
}

function isLoopback(address: string): boolean {
  return address.startsWith('127.');
}
