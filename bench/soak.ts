/**
 * `npm run soak`: two hosts whose path is cut and healed again and again, and whose routes are withdrawn and registered anew;
 * what their processes hold is printed every minute, and may not grow. `--minutes 60`, `--sessions 200`.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';

import { cannotRun } from '../test/netns/lab.js';
import { Endpoint } from './endpoint.js';
import type { Registering } from './endpoint-methods.js';
import type { Side } from './grid.js';
import { untilUp } from './sections/cost.js';
import { openLab } from './stage.js';

/** So long the allocator may take to have what it keeps in hand. */
const WARM_UP_MINUTES = 2;
const GROWTH_BYTES = 8 << 20;
const CUT_MS = 600;

const { values } = parseArgs({
  options: { sessions: { type: 'string', default: '200' }, minutes: { type: 'string', default: '60' } },
});
const sessions = Number(values.sessions);
const minutes = Number(values.minutes);

/** What a process holds. */
interface Held {
  readonly rss: number;
  readonly descriptors: number;
  readonly threads: number;
}

// Leaving through the door lets the lab remove its namespaces.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(signal, () => process.exit(130));

const problem = cannotRun();
if (problem !== undefined) {
  process.stderr.write(`${problem}\n`);
  process.exit(2);
}
const lab = openLab(sessions);
const hosts = [lab.one, lab.two];
const config = { engine: 'native' as const, txMin: 100, rxMin: 100, detectMult: 3 };
const start = (host: (typeof hosts)[number]): Promise<Endpoint> => Endpoint.start(lab, host, 'kernel', config, { flags: ['--expose-gc'] });
const endpoints = await Promise.all(hosts.map(start));
await Promise.all(endpoints.map((endpoint, index) => endpoint.register(sideOf(index), sessions)));
await comeUp();

const began = Date.now();
const history: Held[][] = [];
for (let minute = 1; minute <= minutes; minute += 1) {
  let [cycles, downs, operations] = [0, 0, 0];
  while (Date.now() < began + minute * 60_000) {
    const seen = await cycle();
    cycles += 1;
    downs += seen.downs;
    operations += seen.operations;
  }
  for (const endpoint of endpoints) await endpoint.call('collectGarbage');
  const held = endpoints.map(({ pid }) => holdings(pid));
  history.push(held);
  const [routes] = hosts.map((host) => lab.routes(host, '100').length);
  console.log(JSON.stringify({ minute, cycles, downs, operations, routes, held }));
}
lab.close();
process.exitCode = report();

/** One outage and one change of what is registered; all is Up and installed before and after. */
async function cycle(): Promise<{ downs: number; operations: number }> {
  lab.cutBoth();
  await pause(CUT_MS);
  lab.healBoth();
  const outage = await comeUp();
  for (const [index, endpoint] of endpoints.entries()) await endpoint.call('withdraw', everything(sideOf(index)));
  for (const [index, endpoint] of endpoints.entries()) await endpoint.register(sideOf(index), sessions);
  const change = await comeUp();
  return { downs: outage.downs + change.downs, operations: outage.operations + change.operations };
}

/** Waits for all sessions, and takes what the endpoints remember: it is theirs, not the manager's, that would grow. */
async function comeUp(): Promise<{ downs: number; operations: number }> {
  let [downs, operations] = [0, 0];
  const take = async (): Promise<void> => {
    for (const endpoint of endpoints) {
      downs += (await endpoint.call('takeTransitions')).toDown;
      operations += (await endpoint.call('takeOperations')).length;
    }
  };
  await take();
  if (!(await untilUp(endpoints, sessions))) throw new Error('not all sessions came Up');
  for (const host of hosts) await untilRoutes(host);
  await take();
  return { downs, operations };
}

async function untilRoutes(host: (typeof hosts)[number]): Promise<void> {
  const deadline = Date.now() + 20_000;
  while (lab.routes(host, '100').length !== sessions) {
    if (Date.now() > deadline) throw new Error(`${lab.routes(host, '100').length} routes on ${host.name}, expected ${sessions}`);
    await pause(50);
  }
}

function holdings(pid: number): Held {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  const field = (name: string): number => Number(new RegExp(`^${name}:\\s+(\\d+)`, 'm').exec(status)?.[1]);
  return { rss: field('VmRSS') * 1_024, descriptors: readdirSync(`/proc/${pid}/fd`).length, threads: field('Threads') };
}

/** Says what has grown since the warm-up; gives the exit code. */
function report(): number {
  const [warm, last] = [history[WARM_UP_MINUTES - 1], history.at(-1)];
  if (warm === undefined || last === undefined || history.length <= WARM_UP_MINUTES) {
    console.log(`nothing to compare: more than ${WARM_UP_MINUTES} minutes are needed`);
    return 2;
  }
  const grown = last.flatMap((now, index) => {
    const then = warm[index] ?? now;
    return [
      ...(now.rss > then.rss + GROWTH_BYTES ? [`host ${index + 1}: memory from ${then.rss} to ${now.rss} bytes`] : []),
      ...(now.descriptors > then.descriptors ? [`host ${index + 1}: descriptors from ${then.descriptors} to ${now.descriptors}`] : []),
      ...(now.threads > then.threads ? [`host ${index + 1}: threads from ${then.threads} to ${now.threads}`] : []),
    ];
  });
  console.log(grown.length === 0 ? 'flat' : grown.join('\n'));
  return grown.length === 0 ? 0 : 1;
}

function everything(side: Side): Registering {
  return { side, gridSize: sessions, from: 0, count: sessions, iface: `v${side}`, table: 100 };
}

function sideOf(index: number): Side {
  return index === 0 ? 1 : 2;
}

function pause(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}
