/** CPU per packet pair in BFD: ours, BIRD and FRR, each with itself and with the others. */
import { readdirSync, readFileSync } from 'node:fs';

import { Bird } from '../../test/interop/bird.js';
import { Frr } from '../../test/interop/frr.js';
import { type Layout, manyLab, manyPaths, reversed } from '../../test/interop/many.js';
import type { BfdPath } from '../../test/interop/paths.js';
import { run } from '../../test/netns/command.js';
import type { Host, Lab } from '../../test/netns/lab.js';
import { lacking } from '../../test/netns/needs.js';
import type { Context } from '../context.js';
import { Endpoint } from '../endpoint.js';
import { type Figure, figure } from '../figures.js';
import type { Side } from '../grid.js';
import { coreOf } from '../stage.js';

/** `ours, filtered` has `filterRepeats`. */
export type Speaker = 'ours' | 'ours, filtered' | 'BIRD' | 'FRR';

const SESSIONS = 1_000;
const INTERVAL_MS = 50;

/** FRR takes half a minute to make so many sessions. */
const PATIENCE_MS = 90_000;

/** What meets what. BIRD has to be the side with one address for its best figure, and cannot be the other one. */
const MEETINGS: readonly (readonly [Speaker, Speaker, Layout])[] = [
  ['ours', 'ours', 'hub'],
  ['ours', 'BIRD', 'hub'],
  ['ours', 'FRR', 'hub'],
  ['ours, filtered', 'ours, filtered', 'hub'],
  ['ours, filtered', 'BIRD', 'hub'],
  ['ours', 'ours', 'pairs'],
  ['BIRD', 'BIRD', 'pairs'],
  ['FRR', 'FRR', 'pairs'],
  ['BIRD', 'FRR', 'pairs'],
];

export interface DaemonRow {
  readonly layout: Layout;
  readonly first: Speaker;
  readonly second: Speaker;
  readonly microsPerPair: { readonly first: Figure; readonly second: Figure };
  readonly pairsPerSecond: Figure;
  /** How many sessions were not Up at the end, of all runs. */
  readonly lost: number;
}

interface Running {
  readonly pids: readonly number[];
  up(): number | Promise<number>;
  end(): Promise<void>;
}

interface Sample {
  readonly cpuUs: readonly [number, number];
  readonly packets: number;
}

interface Run {
  readonly microsPerPair: readonly [number, number];
  readonly pairsPerSecond: number;
  readonly lost: number;
}

export async function measureDaemons(context: Context): Promise<DaemonRow[]> {
  const missing = lacking(['bird', 'bfdd'], { asRoot: true });
  if (missing !== undefined) {
    context.progress(`daemons: not measured, ${missing}`);
    return [];
  }
  const runs = new Map<string, Run[]>();
  for (let round = 0; round < context.runs; round += 1) {
    for (const [first, second, layout] of MEETINGS) {
      context.progress(`daemons: ${first} and ${second}, ${layout}, run ${round + 1} of ${context.runs}`);
      const key = `${first} ${second} ${layout}`;
      runs.set(key, [...(runs.get(key) ?? []), await measure(context, first, second, layout)]);
    }
  }
  return MEETINGS.map(([first, second, layout]) => toRow(first, second, layout, runs.get(`${first} ${second} ${layout}`) ?? []));
}

async function measure(context: Context, first: Speaker, second: Speaker, layout: Layout): Promise<Run> {
  const lab = manyLab(SESSIONS, layout);
  const running: Running[] = [];
  try {
    const paths = manyPaths(SESSIONS, layout);
    running.push(await start(second, lab, 2, reversed(paths)), await start(first, lab, 1, paths));
    const [there, here] = running as [Running, Running];
    const deadline = Date.now() + PATIENCE_MS;
    // What does not get there is measured as it is.
    while (Date.now() < deadline && ((await here.up()) < SESSIONS || (await there.up()) < SESSIONS)) await context.pause(1_000);
    await context.pause(3_000);
    const before = sampleOf(lab, here, there);
    await context.pause(context.seconds * 2_000);
    const after = sampleOf(lab, here, there);
    const pairs = (after.packets - before.packets) / 2;
    const microsPerPair = ([0, 1] as const).map((side) => (after.cpuUs[side] - before.cpuUs[side]) / pairs) as [number, number];
    const lost = SESSIONS - Math.min(await here.up(), await there.up());
    return { microsPerPair, pairsPerSecond: pairs / (context.seconds * 2), lost };
  } finally {
    for (const one of running) await one.end();
    lab.close();
  }
}

async function start(speaker: Speaker, lab: Lab, side: Side, paths: readonly BfdPath[]): Promise<Running> {
  const host = side === 1 ? lab.one : lab.two;
  if (speaker === 'ours' || speaker === 'ours, filtered') return startOurs(lab, host, side, paths, speaker === 'ours, filtered');
  const core = coreOf(side);
  const wrapper = core === undefined ? [] : ['taskset', '-c', String(core)];
  const daemon = speaker === 'BIRD' ? new Bird(lab, host, wrapper) : new Frr(lab, host, wrapper);
  // As the daemon sees it, what is theirs is its own.
  await daemon.start({ paths: reversed(paths), timers: { tx: INTERVAL_MS, rx: INTERVAL_MS, multiplier: 3 } });
  return {
    get pids() {
      return daemon.pids;
    },
    up: () => daemon.sessions().filter(({ state }) => state === 'up').length,
    end: () => daemon.close(),
  };
}

async function startOurs(lab: Lab, host: Host, side: Side, paths: readonly BfdPath[], filterRepeats: boolean): Promise<Running> {
  const config = { protocol: 'bfd', port: 3_784, txMin: INTERVAL_MS, rxMin: INTERVAL_MS, detectMult: 3, filterRepeats } as const;
  const endpoint = await Endpoint.start(lab, host, 'memory', config, { core: coreOf(side) });
  await endpoint.call(
    'watch',
    paths.map(({ ours, theirs }) => ({ iface: host.iface, localIP: ours, peerIP: theirs })),
  );
  return { pids: [endpoint.pid], up: async () => (await endpoint.counts()).up, end: () => endpoint.end() };
}

function sampleOf(lab: Lab, here: Running, there: Running): Sample {
  const cpuUs = [here, there].map(({ pids }) => pids.reduce((sum, pid) => sum + cpuOf(pid), 0)) as [number, number];
  const [link] = JSON.parse(run('ip', ['-n', lab.one.name, '-j', '-s', 'link', 'show', lab.one.iface])) as {
    stats64: Record<'rx' | 'tx', { packets: number }>;
  }[];
  return { cpuUs, packets: (link?.stats64.rx.packets ?? NaN) + (link?.stats64.tx.packets ?? NaN) };
}

/** What all threads of a process have spent, in microseconds: the first number of schedstat, in nanoseconds. */
function cpuOf(pid: number): number {
  const threads = readdirSync(`/proc/${pid}/task`);
  const nanos = threads.map((thread) => Number(readFileSync(`/proc/${pid}/task/${thread}/schedstat`, 'utf8').split(' ')[0]));
  return nanos.reduce((sum, each) => sum + each, 0) / 1_000;
}

function toRow(first: Speaker, second: Speaker, layout: Layout, runs: readonly Run[]): DaemonRow {
  const over = (pick: (run: Run) => number): Figure => figure(runs.map(pick));
  return {
    first,
    second,
    layout,
    microsPerPair: { first: over((run) => run.microsPerPair[0]), second: over((run) => run.microsPerPair[1]) },
    pairsPerSecond: over((run) => run.pairsPerSecond),
    lost: runs.reduce((sum, { lost }) => sum + lost, 0),
  };
}
