/**
 * Many sessions between two hosts on one link. Each has another address of the first host, and all the one address of the
 * second: BIRD and FRR know a peer by its address, and BIRD opens a socket for each address of its own.
 */
import { run } from '../netns/command.js';
import { type Host, Lab } from '../netns/lab.js';
import type { BfdPath } from './paths.js';

const HUB = '10.210.0.1';

/** The addresses of the first host. */
function addresses(sessions: number): string[] {
  return Array.from({ length: sessions }, (_, index) => `10.210.${1 + Math.floor(index / 200)}.${(index % 200) + 1}`);
}

/** Two hosts with addresses for so many sessions. */
export function manyLab(sessions: number): Lab {
  const lab = new Lab();
  addAddresses(lab.one, addresses(sessions));
  addAddresses(lab.two, [HUB]);
  // More than some thousand neighbours overflow the kernel's table, but for permanent ones.
  const [first, second] = [linkAddress(lab.one), linkAddress(lab.two)];
  addNeighbours(lab.one, [HUB], second);
  addNeighbours(lab.two, addresses(sessions), first);
  return lab;
}

/** The paths as the first host has them: ours are its addresses. */
export function manyPaths(sessions: number): BfdPath[] {
  return addresses(sessions).map((ours, index) => {
    return { title: ours, multihop: false, ours, theirs: HUB, service: `10.211.${index >> 8}.${index & 255}/32` };
  });
}

/** The same paths as the second host has them. */
export function reversed(paths: readonly BfdPath[]): BfdPath[] {
  return paths.map((path) => ({ ...path, ours: path.theirs, theirs: path.ours }));
}

function addAddresses({ name, iface }: Host, list: readonly string[]): void {
  batch(
    name,
    list.map((address) => `addr add ${address}/16 dev ${iface}`),
  );
}

function addNeighbours({ name, iface }: Host, list: readonly string[], at: string): void {
  batch(
    name,
    list.map((address) => `neigh replace ${address} lladdr ${at} dev ${iface} nud permanent`),
  );
}

function batch(name: string, lines: readonly string[]): void {
  run('ip', ['-n', name, '-batch', '-'], `${lines.join('\n')}\n`);
}

function linkAddress({ name, iface }: Host): string {
  const [link] = JSON.parse(run('ip', ['-n', name, '-j', 'link', 'show', iface])) as { address: string }[];
  return link?.address ?? '';
}
