/** What was measured, as tables. */
import type { Context } from './context.js';
import { show } from './figures.js';
import { load } from './results.js';
import type { CostRow } from './sections/cost.js';

export function report({ quick }: Context): void {
  const cost = load(quick)['cost']?.data as CostRow[] | undefined;
  if (cost !== undefined) console.log(costTable(cost));
}

export function costTable(rows: readonly CostRow[]): string {
  const lines = rows.map((row) => {
    const { sessions, intervalMs, subject, microsPerPair, cpuShare, turnsPerSecond, turnLateness, transmitLateness, falseDowns } = row;
    return [
      `${sessions} × ${intervalMs} ms`,
      subject,
      show(microsPerPair),
      `${(cpuShare.median * 100).toFixed(1)} %`,
      turnsPerSecond?.median.toFixed(0) ?? '',
      turnLateness === undefined ? '' : `${turnLateness.p50.median.toFixed(2)} / ${turnLateness.p99.median.toFixed(2)}`,
      transmitLateness === undefined ? '' : `${transmitLateness.p50.median.toFixed(2)} / ${transmitLateness.p99.median.toFixed(2)}`,
      String(falseDowns.max),
    ];
  });
  return table(['load', 'subject', 'µs/pair', 'CPU', 'turns/s', 'turn late p50/p99 ms', 'send late p50/p99 ms', 'false Downs'], lines);
}

/** A table in Markdown. */
export function table(header: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`;
  return [line(header), line(header.map(() => '---')), ...rows.map(line)].join('\n');
}
