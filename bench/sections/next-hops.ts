/** Routes of one session that go, or move to their backup, with one change of a next-hop object. */
import type { Context } from '../context.js';
import { Endpoint } from '../endpoint.js';
import { distribution, type Figure, figure } from '../figures.js';
import { coreOf, openLab } from '../stage.js';
import { untilUp } from './cost.js';

/** So many sessions live meanwhile. */
const LIVING = 500;
const PORT = 44_881;
/** Where the endpoint that has the routes listens. */
const OTHERS_PORT = 44_880;

export interface NextHopsRow {
  readonly routes: number;
  readonly what: 'withdrawn' | 'moved to the backup';
  readonly objects: boolean;
  /** From the Down to the last of the kernel's answers, in milliseconds. */
  readonly answered: Figure;
  /** How late packets of the sessions that lived meanwhile left at worst, in milliseconds. */
  readonly worstTransmit: Figure;
}

/** Ten thousand routes, and one, with objects and without. */
export async function measureNextHops(context: Context): Promise<NextHopsRow[]> {
  const rows: NextHopsRow[] = [];
  for (const objects of [true, false]) {
    for (const what of ['withdrawn', 'moved to the backup'] as const) {
      for (const routes of [10_000, 1]) {
        const runs: { answered: number; worstTransmit: number }[] = [];
        for (let round = 0; round < context.runs; round += 1) {
          context.progress(`nexthops: ${routes} routes ${what}, objects: ${objects}, run ${round + 1} of ${context.runs}`);
          runs.push(await measureOnce(context, routes, what, objects));
        }
        const over = (key: 'answered' | 'worstTransmit'): Figure => figure(runs.map((run) => run[key]));
        rows.push({ routes, what, objects, answered: over('answered'), worstTransmit: over('worstTransmit') });
      }
    }
  }
  return rows;
}

async function measureOnce(
  context: Context,
  routes: number,
  what: NextHopsRow['what'],
  objects: boolean,
): Promise<{ answered: number; worstTransmit: number }> {
  const size = Math.max(routes, LIVING + 1);
  const lab = openLab(size);
  try {
    const config = { txMin: 50, rxMin: 50, detectMult: 3, maxEvents: 2 * size };
    const [one, two, third] = await Promise.all([
      Endpoint.start(lab, lab.one, objects ? 'objects' : 'kernel', config, { core: coreOf(1) }),
      Endpoint.start(lab, lab.two, 'memory', config, { core: coreOf(2) }),
      // The peer of the one session that falls is a process of its own, which can stop.
      Endpoint.start(lab, lab.two, 'memory', { ...config, port: PORT }, { core: coreOf(2) }),
    ]);
    await one.register(1, size, { from: 1, count: LIVING });
    await two.register(2, size, { from: 1, count: LIVING });
    await one.register(1, size, { count: routes, shared: true, table: 101, port: PORT, backup: what !== 'withdrawn' });
    await third.register(2, size, { count: 1, port: OTHERS_PORT });
    await untilUp([one], LIVING + 1);
    await context.pause(3_000);
    await one.call('takeOperations');
    const before = await one.counts();
    third.signal('SIGSTOP');
    await context.pause(1_500);
    const after = await one.counts();
    const op = what === 'withdrawn' ? 'delete' : 'add';
    const done = (await one.call('takeOperations')).filter((operation) => operation.op === op && operation.ok);
    if (done.length < routes) throw new Error(`${done.length} of ${routes} routes were ${what}`);
    return {
      answered: Math.max(...done.map(({ duration }) => duration)),
      worstTransmit: distribution(before.transmitDelays, after.transmitDelays).max,
    };
  } finally {
    lab.close();
  }
}
