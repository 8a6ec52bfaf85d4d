/** CPU per packet pair, and how late turns and packets are, for floor and engines at the same work. */
import { type Countable, Endpoint, Floor } from '../endpoint.js';
import type { Sample } from '../endpoint-methods.js';
import { type Distribution, distribution, type Figure, figure } from '../figures.js';
import type { Context } from '../context.js';
import type { Side } from '../grid.js';
import { coreOf, openLab } from '../stage.js';

/** The least that a program costs, and what we cost: as native code, with `filterRepeats` too, and in JavaScript. */
export const SUBJECTS = ['floor', 'native', 'filtered', 'dgram', 'js'] as const;
export type Subject = (typeof SUBJECTS)[number];

export interface Load {
  readonly sessions: number;
  readonly intervalMs: number;
}

/** One subject at one load in one run. */
interface Run {
  readonly microsPerPair: number;
  /** Of one core. */
  readonly cpuShare: number;
  readonly pairsPerSecond: number;
  readonly turnsPerSecond: number | undefined;
  readonly turnDelays: Distribution | undefined;
  readonly transmitDelays: Distribution | undefined;
  /** Sessions that went Down although their peers lived. */
  readonly falseDowns: number;
}

export interface CostRow extends Load {
  readonly subject: Subject;
  readonly microsPerPair: Figure;
  readonly cpuShare: Figure;
  readonly pairsPerSecond: Figure;
  readonly turnsPerSecond: Figure | undefined;
  readonly turnDelays: Record<keyof Distribution, Figure> | undefined;
  readonly transmitDelays: Record<keyof Distribution, Figure> | undefined;
  readonly falseDowns: Figure;
}

/** Beyond this many packets per second, one way, two endpoints of two cores do nothing but drop. */
export const MOST_PER_SECOND = 120_000;

/** One thread of JavaScript is saturated far sooner. */
const MOST_PER_SECOND_JS = 45_000;

/** The same work for each subject, in turn, so that what disturbs the machine disturbs them alike. */
export async function measureCost(context: Context, loads: readonly Load[], subjects: readonly Subject[] = SUBJECTS): Promise<CostRow[]> {
  const rows: CostRow[] = [];
  for (const load of loads) {
    const runs = new Map<Subject, Run[]>();
    for (let round = 0; round < context.runs; round += 1) {
      for (const subject of subjects) {
        if (!isCarried(subject, load)) continue;
        context.progress(`cost: ${load.sessions} sessions × ${load.intervalMs} ms, ${subject}, run ${round + 1} of ${context.runs}`);
        runs.set(subject, [...(runs.get(subject) ?? []), await measure(context, subject, load)]);
      }
    }
    for (const [subject, list] of runs) rows.push(toRow(subject, load, list));
  }
  return rows;
}

export function isCarried(subject: Subject, { sessions, intervalMs }: Load): boolean {
  const perSecond = (sessions * 1_000) / intervalMs;
  return perSecond <= (subject === 'js' || subject === 'dgram' ? MOST_PER_SECOND_JS : MOST_PER_SECOND);
}

export function isFloor(subject: Subject): subject is 'floor' | 'dgram' {
  return subject === 'floor' || subject === 'dgram';
}

async function measure(context: Context, subject: Subject, load: Load): Promise<Run> {
  const lab = openLab(load.sessions);
  try {
    const endpoints: Countable[] = await Promise.all(([1, 2] as const).map((side) => start(lab, side, subject, load)));
    await untilUp(
      endpoints.filter((endpoint) => endpoint instanceof Endpoint),
      load.sessions,
    );
    await context.pause(1_500);
    const before = await Promise.all(endpoints.map((endpoint) => endpoint.counts()));
    await context.pause(context.seconds * 1_000);
    const after = await Promise.all(endpoints.map((endpoint) => endpoint.counts()));
    return toRun(before as Sample[], after as Sample[], subject);
  } finally {
    lab.close();
  }
}

function start(lab: ReturnType<typeof openLab>, side: Side, subject: Subject, { sessions, intervalMs }: Load): Promise<Countable> {
  const host = side === 1 ? lab.one : lab.two;
  const core = coreOf(side);
  if (isFloor(subject)) return Floor.start(lab, host, { side, sessions, intervalMs, kind: subject, wake: 'tick', core });
  if (subject === 'filtered') return startEndpoint(lab, side, 'native', { sessions, intervalMs }, { filterRepeats: true });
  return startEndpoint(lab, side, subject, { sessions, intervalMs });
}

/** What differs from an endpoint as the cost is measured of. */
export interface Tuning {
  readonly routes?: 'kernel' | 'memory';
  /** For Node. */
  readonly flags?: readonly string[];
  readonly realtime?: { priority: number };
  /** A state file. */
  readonly resume?: string;
  readonly filterRepeats?: boolean;
}

/** An endpoint with its sessions registered. */
export async function startEndpoint(
  lab: ReturnType<typeof openLab>,
  side: Side,
  engine: 'native' | 'js',
  { sessions, intervalMs }: Load,
  { routes = 'memory', flags = [], ...more }: Tuning = {},
): Promise<Endpoint> {
  const config = {
    engine,
    txMin: intervalMs,
    rxMin: intervalMs,
    detectMult: 3,
    minTxFloor: Math.min(intervalMs, 50),
    maxEvents: Math.max(10_240, sessions * 2),
    ...more,
  };
  const endpoint = await Endpoint.start(lab, side === 1 ? lab.one : lab.two, routes, config, { core: coreOf(side), flags });
  await endpoint.register(side, sessions);
  return endpoint;
}

/** Waits until all sessions are Up; a load that an engine does not carry never gets there, and is measured as it is. */
export async function untilUp(endpoints: readonly Endpoint[], sessions: number, patienceMs = 20_000): Promise<boolean> {
  const deadline = Date.now() + patienceMs;
  while (Date.now() < deadline) {
    const counts = await Promise.all(endpoints.map((endpoint) => endpoint.counts()));
    if (counts.every(({ up }) => up === sessions)) {
      for (const endpoint of endpoints) await endpoint.call('takeTransitions');
      return true;
    }
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  return false;
}

function toRun(before: readonly Sample[], after: readonly Sample[], subject: Subject): Run {
  let [cpu, packets, timeouts, turns, elapsed] = [0, 0, 0, 0, 0];
  after.forEach((late, index) => {
    const early = before[index] as Sample;
    cpu += late.cpuUs - early.cpuUs;
    packets += late.tx - early.tx + late.rx - early.rx;
    elapsed += late.nowUs - early.nowUs;
    if (isFloor(subject)) return;
    timeouts += late.timeouts - early.timeouts;
    turns += late.turns - early.turns;
  });
  const [first, last] = [before[0] as Sample, after[0] as Sample];
  const isEngine = !isFloor(subject);
  return {
    microsPerPair: cpu / (packets / 2),
    cpuShare: cpu / elapsed,
    pairsPerSecond: (packets / 2 / elapsed) * 1e6,
    turnsPerSecond: isEngine ? (turns / elapsed) * 1e6 : undefined,
    turnDelays: isEngine ? distribution(first.turnDelays, last.turnDelays) : undefined,
    transmitDelays: isEngine ? distribution(first.transmitDelays, last.transmitDelays) : undefined,
    falseDowns: timeouts,
  };
}

function toRow(subject: Subject, load: Load, runs: readonly Run[]): CostRow {
  const over = (pick: (run: Run) => number): Figure => figure(runs.map(pick));
  const lateness = (which: 'turnDelays' | 'transmitDelays'): Record<keyof Distribution, Figure> | undefined => {
    if (runs[0]?.[which] === undefined) return undefined;
    const at = (key: keyof Distribution): Figure => over((run) => run[which]?.[key] ?? NaN);
    return { p50: at('p50'), p99: at('p99'), p999: at('p999'), max: at('max') };
  };
  return {
    ...load,
    subject,
    microsPerPair: over((run) => run.microsPerPair),
    cpuShare: over((run) => run.cpuShare),
    pairsPerSecond: over((run) => run.pairsPerSecond),
    turnsPerSecond: isFloor(subject) ? undefined : over((run) => run.turnsPerSecond ?? NaN),
    turnDelays: lateness('turnDelays'),
    transmitDelays: lateness('transmitDelays'),
    falseDowns: over((run) => run.falseDowns),
  };
}
