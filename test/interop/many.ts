/** Many sessions between two hosts on one link. BIRD knows a peer by its address, and opens a socket for each address of its own. */
import { run } from '../netns/command.js';
import { type Host, Lab } from '../netns/lab.js';
import type { BfdPath } from './paths.js';

/** Each session has another address of the first host; of the second, all have the same one (`hub`), or each another (`pairs`). */
export type Layout = 'hub' | 'pairs';

function addresses(side: 1 | 2, count: number): string[] {
  return Array.from({ length: count }, (_, index) => `10.210.${side * 100 + Math.floor(index / 200)}.${(index % 200) + 1}`);
}

function sides(sessions: number, layout: Layout): [string[], string[]] {
  return [addresses(1, sessions), addresses(2, layout === 'hub' ? 1 : sessions)];
}

/** Two hosts with addresses for so many sessions. */
export function manyLab(sessions: number, layout: Layout = 'hub'): Lab {
  const lab = new Lab();
  const [first, second] = sides(sessions, layout);
  addAddresses(lab.one, first);
  addAddresses(lab.two, second);
  // More than some thousand neighbours overflow the kernel's table, but for permanent ones.
  addNeighbours(lab.one, second, linkAddress(lab.two));
  addNeighbours(lab.two, first, linkAddress(lab.one));
  return lab;
}

/** The paths as the first host has them: ours are its addresses. */
export function manyPaths(sessions: number, layout: Layout = 'hub'): BfdPath[] {
  const [first, second] = sides(sessions, layout);
  return first.map((ours, index) => {
    const theirs = second[index % second.length] ?? '';
    return { title: ours, multihop: false, ours, theirs, service: `10.211.${index >> 8}.${index & 255}/32` };
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
