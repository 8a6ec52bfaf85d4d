/**
 * `npm run load`: sessions at 100 ms × 3 between two hosts while stress-ng keeps every core busy, with and without
 * `realtime`; how many of them left Up although their peers lived. `--sessions 1000`, `--seconds 60`.
 */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';

import { cannotRun } from '../test/netns/lab.js';
import { Endpoint } from './endpoint.js';
import { distribution } from './figures.js';
import { untilUp } from './sections/cost.js';
import { openLab } from './stage.js';

/** In the midst of what SCHED_FIFO has, below the kernel's own threads of 50. */
const PRIORITY = 20;
/** Time for stress-ng to have all of its workers running. */
const WARM_UP_MS = 2_000;

const { values } = parseArgs({
  options: { sessions: { type: 'string', default: '1000' }, seconds: { type: 'string', default: '60' } },
});
const sessions = Number(values.sessions);
const seconds = Number(values.seconds);

// Leaving through the door lets the lab remove its namespaces.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(signal, () => process.exit(130));

const problem = cannotRun() ?? lackingTool();
if (problem !== undefined) {
  process.stderr.write(`${problem}\n`);
  process.exit(2);
}
for (const realtime of [undefined, { priority: PRIORITY }]) {
  const what = realtime === undefined ? 'without realtime' : `with realtime ${JSON.stringify(realtime)}`;
  console.log(JSON.stringify({ what, sessions, seconds, ...(await hold(realtime)) }));
}

async function hold(realtime: { priority: number } | undefined): Promise<object> {
  const lab = openLab(sessions);
  const timers = { txMin: 100, rxMin: 100, detectMult: 3 };
  const config = { engine: 'native' as const, ...timers, ...(realtime && { realtime }) };
  let stress: ChildProcess | undefined;
  try {
    // No core of their own: the scheduler has to find them room among the busy.
    const endpoints = await Promise.all([lab.one, lab.two].map((host) => Endpoint.start(lab, host, 'memory', config)));
    await Promise.all(endpoints.map((endpoint, index) => endpoint.register(index === 0 ? 1 : 2, sessions)));
    for (const { pid } of endpoints) {
      // A refusal is a warning, and the run would be one without.
      if (realtime !== undefined && !hasRealtimeThread(pid)) throw new Error('the system refused realtime');
    }
    if (!(await untilUp(endpoints, sessions))) throw new Error('not all sessions came Up before the load');
    stress = spawn('stress-ng', ['--cpu', '0', '--timeout', `${seconds + 10}s`, '--quiet'], { stdio: 'inherit' });
    await pause(WARM_UP_MS);
    for (const endpoint of endpoints) await endpoint.call('takeTransitions');
    const before = await Promise.all(endpoints.map((endpoint) => endpoint.counts()));
    await pause(seconds * 1_000);
    const transitions = await Promise.all(endpoints.map((endpoint) => endpoint.call('takeTransitions')));
    const after = await Promise.all(endpoints.map((endpoint) => endpoint.counts()));
    const grown = (of: 'extensions' | 'socketDrops' | 'tx'): number =>
      after.reduce((sum, counts, index) => sum + counts[of] - (before[index]?.[of] ?? 0), 0);
    return {
      leftUp: transitions.reduce((sum, { fromUp }) => sum + fromUp, 0),
      extensions: grown('extensions'),
      socketDrops: grown('socketDrops'),
      sentPerSecond: Math.round(grown('tx') / seconds),
      turnLateMs: after.map(({ turnDelays }, index) => distribution(before[index]?.turnDelays ?? [], turnDelays)),
    };
  } finally {
    await end(stress);
    lab.close();
  }
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

function lackingTool(): string | undefined {
  return spawnSync('stress-ng', ['--version']).error === undefined ? undefined : 'stress-ng cannot be run: install the package stress-ng';
}

function pause(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}
