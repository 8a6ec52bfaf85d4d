/** Sessions of 3 × 10 ms between two hosts whose cores are kept busy by stress-ng: how many left Up although their peers lived. */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';

import type { Context } from '../context.js';
import { Endpoint } from '../endpoint.js';
import type { Sample } from '../endpoint-methods.js';
import { type Distribution, distribution } from '../figures.js';
import { openLab } from '../stage.js';
import { untilUp } from './cost.js';

const SESSIONS = 1_000;
const INTERVAL_MS = 10;
const SETTLE_MS = 1_000;
/** Each load is held for so many times what the caller asked for: two minutes, unless told. */
const LONGER = 24;

/** What keeps the cores busy, and what is asked of the scheduler against it. */
const LOADS: readonly { readonly stress: string; readonly priority?: number }[] = [
  { stress: '' },
  { stress: '--cpu 4' },
  { stress: '--cpu 8 --switch 4 --yield 4' },
  { stress: '--cpu 4 --timer 8 --timerfd 4' },
  { stress: '--hrtimers 2', priority: 80 },
];

export interface LoadRow {
  readonly stress: string;
  readonly priority?: number;
  readonly seconds: number;
  /** How often a session left Up although its peer lived, on both sides. */
  readonly lost: number;
  /** By silence of which neither side's transition says that its host was late. */
  readonly unexplained: number;
  readonly extensions: number;
  readonly socketDrops: number;
  /** By how much of what they owe the engines were short. */
  readonly pairsPerSecond: number;
  readonly turnLate: Distribution;
}

export async function measureLoad(context: Context): Promise<LoadRow[]> {
  if (spawnSync('stress-ng', ['--version']).error !== undefined) {
    context.progress('load: not measured, stress-ng cannot be run: install the package stress-ng');
    return [];
  }
  const rows: LoadRow[] = [];
  for (const load of LOADS) {
    context.progress(`load: ${load.stress || 'idle'}${load.priority === undefined ? '' : `, realtime with priority ${load.priority}`}`);
    const row = await hold(context, load);
    context.progress(JSON.stringify(row));
    rows.push(row);
  }
  return rows;
}

async function hold(context: Context, { stress, priority }: (typeof LOADS)[number]): Promise<LoadRow> {
  const seconds = context.seconds * LONGER;
  const lab = openLab(SESSIONS);
  const timers = { txMin: INTERVAL_MS, rxMin: INTERVAL_MS, detectMult: 3, minTxFloor: INTERVAL_MS };
  const realtime = priority === undefined ? {} : { realtime: { priority } };
  const config = { engine: 'native' as const, ...timers, ...realtime };
  let load: ChildProcess | undefined;
  try {
    // No core of their own: the scheduler has to find them room among the busy.
    const endpoints = await Promise.all([lab.one, lab.two].map((host) => Endpoint.start(lab, host, 'memory', config)));
    await Promise.all(endpoints.map((endpoint, index) => endpoint.register(index === 0 ? 1 : 2, SESSIONS)));
    for (const { pid } of endpoints) {
      // A refusal is a warning, and the run would be one without.
      if (priority !== undefined && !hasRealtimeThread(pid)) throw new Error('the system refused realtime');
    }
    if (!(await untilUp(endpoints, SESSIONS))) throw new Error('not all sessions came Up before the load');
    // The last session to come Up is past its handshake then.
    await context.pause(SETTLE_MS);
    // Before the load and after it: while it runs, JavaScript may not be heard for seconds.
    const before = await Promise.all(endpoints.map((endpoint) => endpoint.counts()));
    if (stress !== '') load = spawn('stress-ng', [...stress.split(' '), '--timeout', `${seconds + 10}s`, '--quiet'], { stdio: 'inherit' });
    await context.pause(seconds * 1_000);
    await end(load);
    const after = await Promise.all(endpoints.map((endpoint) => endpoint.counts()));
    const changes = after.map((counts, index) => grownOf(before[index], counts));
    const grown = (of: keyof Grown): number => changes.reduce((sum, counts) => sum + counts[of], 0);
    const late = after.map(({ turnDelays }, index) => distribution(before[index]?.turnDelays ?? [], turnDelays));
    return {
      stress,
      ...(priority === undefined ? {} : { priority }),
      seconds,
      lost: grown('leftUp'),
      unexplained: unexplained(changes),
      extensions: grown('extensions'),
      socketDrops: grown('socketDrops'),
      pairsPerSecond: grown('tx') / (grown('nowUs') / 1_000_000),
      turnLate: late.reduce((one, other) => (one.max > other.max ? one : other)),
    };
  } finally {
    await end(load);
    lab.close();
  }
}

const GROWING = ['leftUp', 'timeouts', 'localTimeouts', 'localRemoteDowns', 'extensions', 'socketDrops', 'tx', 'nowUs'] as const;

type Grown = Record<(typeof GROWING)[number], number>;

/** Counted by the engines: of what happens while JavaScript waits, transitions tell the last. */
function grownOf(before: Sample | undefined, after: Sample): Grown {
  return Object.fromEntries(GROWING.map((of) => [of, after[of] - (before?.[of] ?? 0)])) as Grown;
}

/** A host that was stopped is silent: its peer times out without a fault of its own, and it says so itself of the same sessions. */
function unexplained([one, two]: readonly Grown[]): number {
  if (one === undefined || two === undefined) return NaN;
  const bare = ({ timeouts, localTimeouts }: Grown): number => timeouts - localTimeouts;
  const told = ({ localTimeouts, localRemoteDowns }: Grown): number => localTimeouts + localRemoteDowns;
  return Math.max(0, bare(one) - told(two)) + Math.max(0, bare(two) - told(one));
}

/** stress-ng ends its workers with itself. */
async function end(stress: ChildProcess | undefined): Promise<void> {
  if (stress === undefined || stress.exitCode !== null) return;
  const gone = once(stress, 'exit');
  stress.kill('SIGTERM');
  await gone;
}

/** Whether SCHED_FIFO carries a thread of a process: proc(5), the policy is the 39th field behind the name. */
function hasRealtimeThread(pid: number): boolean {
  return readdirSync(`/proc/${pid}/task`).some((task) => {
    const stat = readFileSync(`/proc/${pid}/task/${task}/stat`, 'utf8');
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[38] === '1';
  });
}
