/** Two hosts with addresses for many sessions. */
import { availableParallelism } from 'node:os';

import { run } from '../test/netns/command.js';
import { Lab } from '../test/netns/lab.js';
import { addressesOf, networkOf, type Side } from './grid.js';

/** The core of each endpoint; `undefined` where there are not enough of them to give each its own. */
export function coreOf(side: Side): number | undefined {
  return availableParallelism() >= 2 ? side - 1 : undefined;
}

/**
 * A lab whose hosts have addresses for so many sessions, with one route to all of the other's: a thousand neighbours on
 * the link would overflow the kernel's neighbour table.
 */
export function openLab(sessions: number): Lab {
  const lab = new Lab();
  const sides: [Side, Side] = [1, 2];
  for (const side of sides) {
    const [host, other] = side === 1 ? [lab.one, lab.two] : [lab.two, lab.one];
    const lines = addressesOf(side, sessions).map((address) => `addr add ${address}/32 dev lo`);
    run('ip', ['-n', host.name, '-batch', '-'], `${lines.join('\n')}\n`);
    run('ip', ['-n', host.name, 'route', 'add', networkOf(side === 1 ? 2 : 1), 'via', other.address]);
  }
  return lab;
}
