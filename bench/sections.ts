/** Everything that is measured, in the order in which it is. */
import type { Context } from './context.js';
import { type Load, measureCost } from './sections/cost.js';

export interface Section {
  readonly name: string;
  /** It needs two hosts: root, on Linux. */
  readonly needsHosts: boolean;
  measure(context: Context): Promise<unknown>;
}

const INTERVALS = [50, 100, 300, 1_000];
const COUNTS = [100, 1_000, 10_000, 50_000];
const QUICK: readonly Load[] = [
  { sessions: 1_000, intervalMs: 100 },
  { sessions: 10_000, intervalMs: 300 },
];

const LOADS: readonly Load[] = COUNTS.flatMap((sessions) => INTERVALS.map((intervalMs) => ({ sessions, intervalMs })));

export const SECTIONS: readonly Section[] = [
  { name: 'cost', needsHosts: true, measure: (context) => measureCost(context, context.loads ?? (context.quick ? QUICK : LOADS)) },
];
