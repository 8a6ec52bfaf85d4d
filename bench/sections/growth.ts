/** What grows with the number of sessions: memory should, the cost of a packet should not. */
import { execFileSync, spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';

import type { Context } from '../context.js';
import { type Figure, figure } from '../figures.js';
import type { Side } from '../grid.js';
import { BENCH, SIMULATED, ROOT } from '../places.js';
import { openLab } from '../stage.js';
import { type CostRow, measureCost, startEndpoint, untilUp } from './cost.js';

export interface MemoryRow {
  /** Resident bytes per session, with its kernel route, from the lesser number of sessions to the greater. */
  readonly perSession: Figure;
  /** Of it JavaScript's heap. */
  readonly heapPerSession?: Figure;
  readonly from: number;
  readonly to: number;
}

/** V8 gives back the room that a burst took in a collection that sees five quiet seconds before it. */
const COLLECTIONS = 3;
const BETWEEN_COLLECTIONS_MS = 6_000;

export async function measureMemory(context: Context): Promise<MemoryRow> {
  const [from, to] = context.quick ? [1_000, 10_000] : [1_000, 50_000];
  const [resident, heap]: [number[], number[]] = [[], []];
  for (let round = 0; round < context.runs; round += 1) {
    context.progress(`memory: ${from} and ${to} sessions, run ${round + 1} of ${context.runs}`);
    const [small, large] = [await holdings(context, from), await holdings(context, to)];
    resident.push((large.residentBytes - small.residentBytes) / (to - from));
    heap.push((large.heapBytes - small.heapBytes) / (to - from));
  }
  return { perSession: figure(resident), heapPerSession: figure(heap), from, to };
}

/** What a process holds when its sessions are Up, their routes installed and the news of it told. */
async function holdings(context: Context, sessions: number): Promise<{ residentBytes: number; heapBytes: number }> {
  const lab = openLab(sessions);
  try {
    const load = { sessions, intervalMs: 1_000 };
    const start = (side: Side) => startEndpoint(lab, side, 'native', load, { routes: 'kernel', flags: ['--expose-gc'] });
    const endpoints = await Promise.all([start(1), start(2)]);
    const [one] = endpoints;
    if (!(await untilUp(endpoints, sessions, 60_000))) throw new Error(`${sessions} sessions did not come Up`);
    for (let installed = 0; installed < sessions; installed += (await one.call('takeOperations')).length) await context.pause(100);
    for (let collection = 0; collection < COLLECTIONS; collection += 1) {
      await context.pause(BETWEEN_COLLECTIONS_MS);
      await one.call('collectGarbage');
    }
    return await one.call('holdings');
  } finally {
    lab.close();
  }
}

export interface GrowthRow {
  readonly few: CostRow | undefined;
  readonly many: CostRow | undefined;
}

/** As many packets per second from many sessions as from few. */
export async function measureGrowth(context: Context): Promise<GrowthRow> {
  const [few, many] = await measureCost(
    context,
    [
      { sessions: 5_000, intervalMs: 100 },
      { sessions: 50_000, intervalMs: 1_000 },
    ],
    ['native'],
  );
  return { few, many };
}

export interface SimulatedRow {
  readonly sessions: number;
  readonly nanosPerEvent: Figure;
  readonly bytesPerSession: Figure;
}

/** The core alone, on virtual time: no sockets, no system. */
export function measureSimulated(context: Context): Promise<SimulatedRow[]> {
  const counts = context.quick ? [10_000, 100_000] : [1_000, 10_000, 100_000, 1_000_000];
  const rows = counts.map((sessions) => {
    const runs = Array.from({ length: context.runs }, (_, round) => {
      context.progress(`simulated: ${sessions} sessions, run ${round + 1} of ${context.runs}`);
      return JSON.parse(execFileSync(SIMULATED, [String(sessions)], { encoding: 'utf8' })) as {
        nanosPerEvent: number;
        bytesPerSession: number;
      };
    });
    return {
      sessions,
      nanosPerEvent: figure(runs.map((run) => run.nanosPerEvent)),
      bytesPerSession: figure(runs.map((run) => run.bytesPerSession)),
    };
  });
  return Promise.resolve(rows);
}

export interface StartRow {
  /** Wall time of a process, in milliseconds. */
  readonly empty: Figure;
  readonly started: Figure;
  readonly beyond: number;
}

/** A process that imports the package and starts a manager, beside one that does nothing. */
export function measureStart(context: Context): Promise<StartRow> {
  const empty = join(BENCH, '.out', 'empty.mjs');
  const started = join(BENCH, '.out', 'started.mjs');
  writeFileSync(empty, '\n');
  writeFileSync(
    started,
    `import { Manager, MemoryRoutes } from ${JSON.stringify(join(ROOT, 'dist', 'index.js'))};
await Manager.start({ netlinker: new MemoryRoutes(), bindIP: '127.0.0.1', port: 0, txMin: 100, rxMin: 100, detectMult: 3 });
process.exit();
`,
  );
  const times = new Map<string, number[]>([
    [empty, []],
    [started, []],
  ]);
  const rounds = context.quick ? 10 : 40;
  context.progress(`start: ${rounds} processes of each kind`);
  for (let round = 0; round < rounds; round += 1) {
    for (const [file, list] of times) {
      const began = process.hrtime.bigint();
      const { status } = spawnSync(process.execPath, [file], { stdio: 'inherit' });
      if (status !== 0) throw new Error(`${file} failed`);
      list.push(Number(process.hrtime.bigint() - began) / 1e6);
    }
  }
  const [before, after] = [figure(times.get(empty) ?? []), figure(times.get(started) ?? [])];
  return Promise.resolve({ empty: before, started: after, beyond: after.median - before.median });
}
