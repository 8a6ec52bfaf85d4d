/** How soon silence is noticed, and the route gone: by the engine's stamps and the kernel's answers. */
import type { Context } from '../context.js';
import { Endpoint } from '../endpoint.js';
import { distribution, type Figure, figure, quantile } from '../figures.js';
import { coreOf, openLab } from '../stage.js';
import { startEndpoint, untilUp } from './cost.js';

const INTERVAL_MS = 100;
const DETECT_MS = 3 * INTERVAL_MS;

export interface DetectionRow {
  readonly subject: string;
  readonly sessions: number;
  /** The Down less the last arrival less the detection time, in milliseconds: quantiles of each run. */
  readonly lateness: { readonly p50: Figure; readonly p99: Figure; readonly max: Figure };
}

/** All sessions lose their peer: it stops, and the machine is otherwise idle. */
export async function measureDetection(context: Context): Promise<DetectionRow[]> {
  const rows: DetectionRow[] = [];
  for (const [subject, sessions] of [
    ['native', 1_000],
    ['js', 1_000],
  ] as const) {
    const runs: { p50: number; p99: number; max: number }[] = [];
    for (let round = 0; round < context.runs; round += 1) {
      context.progress(`detection: ${sessions} sessions, ${subject}, run ${round + 1} of ${context.runs}`);
      const lab = openLab(sessions);
      try {
        const [one, two] = await Promise.all(
          ([1, 2] as const).map((side) => startEndpoint(lab, side, subject, { sessions, intervalMs: INTERVAL_MS })),
        );
        if (one === undefined || two === undefined || !(await untilUp([one, two], sessions))) continue;
        await context.pause(1_000);
        await one.call('takeTransitions');
        two.signal('SIGSTOP');
        await context.pause(DETECT_MS + 1_000);
        const { silences } = await one.call('takeTransitions');
        const lateness = silences.map((silence) => silence - DETECT_MS);
        runs.push({ p50: quantile(lateness, 0.5), p99: quantile(lateness, 0.99), max: Math.max(...lateness) });
      } finally {
        lab.close();
      }
    }
    const over = (pick: (run: (typeof runs)[number]) => number): Figure => figure(runs.map(pick));
    rows.push({ subject, sessions, lateness: { p50: over((run) => run.p50), p99: over((run) => run.p99), max: over((run) => run.max) } });
  }
  return rows;
}

export interface WithdrawalRow {
  readonly javascript: 'free' | 'blocked';
  /** From the Down to the kernel's answer that the route is gone, in milliseconds, over all cuts. */
  readonly gone: Figure;
}

/** One route, withdrawn over and over. */
export async function measureWithdrawal(context: Context): Promise<WithdrawalRow[]> {
  const rows: WithdrawalRow[] = [];
  for (const javascript of ['free', 'blocked'] as const) {
    const lab = openLab(1);
    try {
      const [one, two] = await Promise.all(
        ([1, 2] as const).map((side) => startEndpoint(lab, side, 'native', { sessions: 1, intervalMs: 50 }, { routes: 'kernel' })),
      );
      if (one === undefined || two === undefined) continue;
      const durations: number[] = [];
      const rounds = context.quick ? 5 : 20;
      for (let round = 0; round < rounds; round += 1) {
        context.progress(`withdrawal: JavaScript ${javascript}, ${round + 1} of ${rounds}`);
        await untilUp([one, two], 1);
        await context.pause(300);
        await one.call('takeOperations');
        const blocked = javascript === 'blocked' ? one.call('block', 500) : undefined;
        await context.pause(50);
        two.signal('SIGSTOP');
        await context.pause(450);
        await blocked;
        two.signal('SIGCONT');
        await context.pause(200);
        const removed = (await one.call('takeOperations')).find(({ op, ok }) => op === 'delete' && ok);
        if (removed !== undefined) durations.push(removed.duration);
      }
      rows.push({ javascript, gone: figure(durations) });
    } finally {
      lab.close();
    }
  }
  return rows;
}

export interface MassRow {
  /** From the call until the last of the sessions had sent its first packet, in milliseconds. */
  readonly registered: Figure;
  /** From the first to the last kernel answer of a withdrawal of all, counted from the transition, in milliseconds. */
  readonly withdrawn: Figure;
  /** Of the sessions that lived meanwhile: how late their packets left at worst, in milliseconds, and how many were lost. */
  readonly worstTransmit: Figure;
  readonly falseDowns: Figure;
  readonly socketDrops: Figure;
}

/** Ten thousand routes: sessions registered together; and all of one session, which falls, while others live. */
export async function measureMass(context: Context): Promise<MassRow> {
  const routes = 10_000;
  const living = 500;
  const runs: Record<keyof MassRow, number>[] = [];
  for (let round = 0; round < context.runs; round += 1) {
    context.progress(`mass: ${routes} routes, run ${round + 1} of ${context.runs}`);
    const registration = await registerMany(routes);
    runs.push({ ...registration, ...(await withdrawMany(context, routes, living)) });
  }
  const over = (key: keyof MassRow): Figure => figure(runs.map((run) => run[key]));
  return {
    registered: over('registered'),
    withdrawn: over('withdrawn'),
    worstTransmit: over('worstTransmit'),
    falseDowns: over('falseDowns'),
    socketDrops: over('socketDrops'),
  };
}

async function registerMany(routes: number): Promise<{ registered: number; socketDrops: number }> {
  const lab = openLab(routes);
  try {
    const config = { txMin: 300, rxMin: 300, detectMult: 3, maxEvents: 2 * routes };
    const [one, two] = await Promise.all([
      Endpoint.start(lab, lab.one, 'kernel', config, { core: coreOf(1) }),
      Endpoint.start(lab, lab.two, 'kernel', config, { core: coreOf(2) }),
    ]);
    const [{ sent }] = await Promise.all([one.register(1, routes, { waitForTx: true }), two.register(2, routes)]);
    const [own, theirs] = await Promise.all([one.counts(), two.counts()]);
    return { registered: sent, socketDrops: own.socketDrops + theirs.socketDrops };
  } finally {
    lab.close();
  }
}

async function withdrawMany(
  context: Context,
  routes: number,
  living: number,
): Promise<{ withdrawn: number; worstTransmit: number; falseDowns: number }> {
  const lab = openLab(routes);
  try {
    const config = { txMin: 50, rxMin: 50, detectMult: 3, maxEvents: 2 * routes };
    const [one, two, third] = await Promise.all([
      Endpoint.start(lab, lab.one, 'kernel', config, { core: coreOf(1) }),
      Endpoint.start(lab, lab.two, 'kernel', config, { core: coreOf(2) }),
      // The peer of the one session that falls is a process of its own, which can stop.
      Endpoint.start(lab, lab.two, 'memory', { ...config, port: 44_881 }, { core: coreOf(2) }),
    ]);
    await one.register(1, routes, { from: 1, count: living });
    await two.register(2, routes, { from: 1, count: living });
    await one.register(1, routes, { shared: true, table: 101, port: 44_881 });
    await third.register(2, routes, { count: 1 });
    await untilUp([one], living + 1);
    await context.pause(3_000);
    await one.call('takeOperations');
    await Promise.all([one, two].map((endpoint) => endpoint.call('takeTransitions')));
    const before = await one.counts();
    third.signal('SIGSTOP');
    await context.pause(1_500);
    const after = await one.counts();
    const removed = (await one.call('takeOperations')).filter(({ op, ok }) => op === 'delete' && ok);
    const fallen = await Promise.all([one, two].map((endpoint) => endpoint.call('takeTransitions')));
    if (removed.length !== routes) throw new Error(`${removed.length} of ${routes} routes were withdrawn`);
    const downs = fallen.reduce((sum, { fromUp }) => sum + fromUp, 0);
    return {
      withdrawn: Math.max(...removed.map(({ duration }) => duration)),
      worstTransmit: distribution(before.transmitDelays, after.transmitDelays).max,
      falseDowns: downs - 1,
    };
  } finally {
    lab.close();
  }
}
