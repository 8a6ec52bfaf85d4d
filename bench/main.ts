/**
 * `npm run bench`: measures what the engines cost, how late they are, and what they hold, beside the least that any program
 * can spend. `--quick` ends within two minutes; `--only cost,routes` measures some sections; `--runs 5`, `--seconds 5`,
 * `--loads 1000x100,10000x300` for the cost of these loads alone; `--report` measures nothing and writes the tables from what was
 * measured before.
 */
import { availableParallelism } from 'node:os';
import { parseArgs } from 'node:util';

import { cannotRun } from '../test/netns/lab.js';
import type { Context } from './context.js';
import { SECTIONS } from './sections.js';
import { report } from './report.js';
import { keep } from './results.js';

const { values } = parseArgs({
  options: {
    quick: { type: 'boolean', default: false },
    only: { type: 'string', default: '' },
    runs: { type: 'string' },
    seconds: { type: 'string' },
    loads: { type: 'string' },
    report: { type: 'boolean', default: false },
  },
});

// Leaving through the door lets the lab remove its namespaces.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(signal, () => process.exit(130));

const began = Date.now();
const context: Context = {
  runs: Number(values.runs ?? (values.quick ? 1 : 5)),
  seconds: Number(values.seconds ?? (values.quick ? 2 : 5)),
  quick: values.quick,
  loads: values.loads?.split(',').map((load) => {
    const [sessions = NaN, intervalMs = NaN] = load.split('x').map(Number);
    return { sessions, intervalMs };
  }),
  progress(what) {
    process.stderr.write(`[${((Date.now() - began) / 1_000).toFixed(0).padStart(4)} s] ${what}\n`);
  },
  pause: (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds)),
};

const wanted = values.only === '' ? undefined : values.only.split(',');
const unknown = wanted?.filter((name) => !SECTIONS.some((section) => section.name === name)) ?? [];
if (unknown.length > 0) {
  process.stderr.write(`no such section: ${unknown.join(', ')}; there are ${SECTIONS.map(({ name }) => name).join(', ')}\n`);
  process.exit(2);
}

if (availableParallelism() < 2) context.progress('one core: endpoints share it, and every figure between hosts says little');
const why = cannotRun();
for (const section of values.report ? [] : SECTIONS) {
  if (wanted === undefined ? values.quick && section.isLong === true : !wanted.includes(section.name)) continue;
  if (section.needsHosts && why !== undefined) {
    context.progress(`${section.name}: not measured, ${why}`);
    continue;
  }
  keep(section.name, await section.measure(context), context);
}
report(context);
