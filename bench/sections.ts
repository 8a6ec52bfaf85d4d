/** Everything that is measured, in the order in which it is. */
import type { Context } from './context.js';
import { type Load, measureCost } from './sections/cost.js';
import { measureDaemons } from './sections/daemons.js';
import { measureDetection, measureMass, measureWithdrawal } from './sections/detection.js';
import { measureEndurance } from './sections/endurance.js';
import { measureNextHops } from './sections/next-hops.js';
import { measureGetters } from './sections/getters.js';
import { measureLoad } from './sections/load.js';
import { measureGrowth, measureMemory, measureSimulated, measureStart } from './sections/growth.js';
import { measureRestarts } from './sections/restarts.js';

export interface Section {
  readonly name: string;
  /** It needs two hosts: root, on Linux. */
  readonly needsHosts: boolean;
  /** Left out of a quick run: it takes long by its nature. */
  readonly isLong?: boolean;
  measure(context: Context): Promise<unknown>;
}

const INTERVALS = [50, 100, 300, 1_000];
const COUNTS = [100, 1_000, 10_000, 50_000];
const LOADS: readonly Load[] = COUNTS.flatMap((sessions) => INTERVALS.map((intervalMs) => ({ sessions, intervalMs })));
const QUICK: readonly Load[] = [
  { sessions: 1_000, intervalMs: 100 },
  { sessions: 10_000, intervalMs: 300 },
];

export const SECTIONS: readonly Section[] = [
  { name: 'start', needsHosts: false, measure: measureStart },
  { name: 'getters', needsHosts: false, measure: measureGetters },
  { name: 'simulated', needsHosts: false, measure: measureSimulated },
  { name: 'cost', needsHosts: true, measure: (context) => measureCost(context, context.loads ?? (context.quick ? QUICK : LOADS)) },
  { name: 'growth', needsHosts: true, isLong: true, measure: measureGrowth },
  { name: 'detection', needsHosts: true, measure: measureDetection },
  { name: 'withdrawal', needsHosts: true, measure: measureWithdrawal },
  { name: 'mass', needsHosts: true, measure: measureMass },
  { name: 'nexthops', needsHosts: true, measure: measureNextHops },
  { name: 'endurance', needsHosts: true, measure: measureEndurance },
  { name: 'load', needsHosts: true, isLong: true, measure: measureLoad },
  { name: 'restarts', needsHosts: true, measure: measureRestarts },
  { name: 'daemons', needsHosts: true, isLong: true, measure: measureDaemons },
  { name: 'memory', needsHosts: true, isLong: true, measure: measureMemory },
];
