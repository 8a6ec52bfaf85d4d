/**
 * What it costs JavaScript to ask a manager how things are, beside what was measured in the same run: a copy of the answer as
 * JSON, and a question to a thread that waits, which is what the question for one session is.
 */
import { once } from 'node:events';
import { Worker } from 'node:worker_threads';

import { Manager, MemoryRoutes } from 'route-liveness';

import type { Context } from '../context.js';
import { type Figure, figure, quantile } from '../figures.js';

const COUNTS = [1_000, 5_000, 50_000];
const QUICK = [1_000, 5_000];

/** So often each getter is called in one run. */
const CALLS = 31;

/** In microseconds, each the median of the calls of a run. */
interface Run {
  readonly perSession: number;
  readonly one: number;
  readonly wake: number;
  readonly stats: number;
  readonly jsonPerSession: number;
}

export interface GettersRow {
  readonly sessions: number;
  /** `getSessions()`, for each session. */
  readonly perSession: Figure;
  readonly one: Figure;
  /** Waking a thread and hearing from it. */
  readonly wake: Figure;
  /** `getSession()` ÷ waking a thread and hearing from it. */
  readonly oneRatio: Figure;
  readonly stats: Figure;
  /** `JSON.parse(JSON.stringify(sessions))`, for each session. */
  readonly jsonPerSession: Figure;
  /** `getSessions()` ÷ the copy as JSON. */
  readonly ratio: Figure;
}

export async function measureGetters(context: Context): Promise<GettersRow[]> {
  const rows: GettersRow[] = [];
  for (const sessions of context.quick ? QUICK : COUNTS) {
    const runs: Run[] = [];
    for (let round = 0; round < context.runs; round += 1) {
      context.progress(`getters: ${sessions} sessions, run ${round + 1} of ${context.runs}`);
      runs.push(await measure(context, sessions));
    }
    rows.push({
      sessions,
      perSession: figure(runs.map((run) => run.perSession)),
      one: figure(runs.map((run) => run.one)),
      wake: figure(runs.map((run) => run.wake)),
      oneRatio: figure(runs.map((run) => run.one / run.wake)),
      stats: figure(runs.map((run) => run.stats)),
      jsonPerSession: figure(runs.map((run) => run.jsonPerSession)),
      ratio: figure(runs.map((run) => run.perSession / run.jsonPerSession)),
    });
  }
  return rows;
}

async function measure(context: Context, sessions: number): Promise<Run> {
  const manager = await Manager.start({
    netlinker: new MemoryRoutes(),
    bindIP: '127.0.0.1',
    port: 0,
    txMin: 1_000,
    rxMin: 1_000,
    detectMult: 3,
    maxEvents: 4 * sessions,
    engine: 'native',
  });
  try {
    const address = (net: number, index: number): string => `${net}.${(index >> 16) & 255}.${(index >> 8) & 255}.${index & 255}`;
    const registrations = Array.from({ length: sessions }, (_, index) => {
      const peerIP = address(127, index + 256);
      const route = { table: 254, dst: `${address(10, index)}/32`, src: '127.0.0.1', nextHop: peerIP, protocol: 186 };
      return { route, iface: 'lo', peerIP };
    });
    await manager.registerRoutes(registrations);
    // Until all have sent their first packets.
    await context.pause(1_500);
    const shown = manager.getSessions();
    const [first] = shown;
    if (first === undefined || shown.length !== sessions) throw new Error(`${shown.length} sessions of ${sessions} are shown`);
    const wake = await measureWake();
    return {
      wake,
      perSession: micros(() => manager.getSessions()) / sessions,
      one: micros(() => manager.getSession(first.peer)),
      stats: micros(() => manager.stats()),
      jsonPerSession: micros(() => JSON.parse(JSON.stringify(shown))) / sessions,
    };
  } finally {
    await manager.close();
  }
}

const ASKED = 1;
const ANSWERED = 0;

/** A thread that waits, is woken, and answers: the least that a question to another thread costs here and now. */
async function measureWake(): Promise<number> {
  const word = new Int32Array(new SharedArrayBuffer(4));
  const program = `
    const { parentPort, workerData: word } = require('node:worker_threads');
    parentPort.postMessage('ready');
    for (;;) {
      Atomics.wait(word, 0, ${ANSWERED});
      Atomics.store(word, 0, ${ANSWERED});
      Atomics.notify(word, 0);
    }`;
  const worker = new Worker(program, { eval: true, workerData: word });
  await once(worker, 'message');
  const took = micros(() => {
    Atomics.store(word, 0, ASKED);
    Atomics.notify(word, 0);
    Atomics.wait(word, 0, ASKED);
  });
  await worker.terminate();
  return took;
}

function micros(call: () => unknown): number {
  const took = Array.from({ length: CALLS }, () => {
    const began = performance.now();
    call();
    return (performance.now() - began) * 1_000;
  });
  return quantile(took, 0.5);
}
