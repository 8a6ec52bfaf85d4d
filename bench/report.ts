/** What was measured, as tables: on the terminal, in the README, in the bench's own page. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import type { Context } from './context.js';
import { show } from './figures.js';
import { BENCH, RESULTS, ROOT } from './places.js';
import { costPlot, simulatedPlot } from './plot.js';
import { type Kept, load } from './results.js';
import { type CostRow, isFloor } from './sections/cost.js';
import type { DaemonRow } from './sections/daemons.js';
import type { DetectionRow } from './sections/detection.js';
import type { HoldRow } from './sections/endurance.js';
import type { GettersRow } from './sections/getters.js';
import type { LoadRow } from './sections/load.js';
import type { SimulatedRow } from './sections/growth.js';
import type { NextHopsRow } from './sections/next-hops.js';
import type { RestartRow } from './sections/restarts.js';
import { dataOf, type Target, targets } from './targets.js';

export function report({ quick }: Context): void {
  const results = load(quick);
  const all = targets(results);
  const pages = { targets: targetTable(all), cost: costTable(dataOf(results, 'cost')), more: moreTables(results) };
  console.log(Object.values(pages).join('\n\n'));
  if (quick) return;
  const machine = machineOf(results);
  replaceBetween(join(ROOT, 'README.md'), 'bench', `${machine}\n\n${targetTable(all.filter(({ isHeadline }) => isHeadline === true))}`);
  replaceBetween(join(BENCH, 'README.md'), 'bench', `${machine}\n\n${Object.values(pages).join('\n\n')}`);
  writeFileSync(join(RESULTS, 'cost.svg'), costPlot(dataOf<CostRow[]>(results, 'cost') ?? []));
  writeFileSync(join(RESULTS, 'simulated.svg'), simulatedPlot(dataOf<SimulatedRow[]>(results, 'simulated') ?? []));
}

function machineOf(results: Readonly<Record<string, Kept>>): string {
  const kept = Object.values(results);
  const [first] = kept;
  if (first === undefined) return '';
  const { cpu, cores, kernel, node } = first.machine;
  const days = [...new Set(kept.map(({ measuredAt }) => measuredAt.slice(0, 10)))].sort().join(', ');
  return `Measured ${days} on ${cores} cores (${cpu}), Linux ${kernel}, Node ${node}: medians [least–most] of several runs.`;
}

function targetTable(list: readonly Target[]): string {
  const rows = list.map(({ what, promised, measured, met }) => [what, promised, measured, met ? 'yes' : '**no**']);
  return table(['', 'target', 'measured', 'met'], rows);
}

function costTable(rows: readonly CostRow[] = []): string {
  const lines = rows.map((row) => {
    const { sessions, intervalMs, subject, microsPerPair, cpuShare, pairsPerSecond, turnsPerSecond, turnDelays, transmitDelays } = row;
    const late = (lateness: typeof turnDelays): string =>
      lateness === undefined ? '' : [lateness.p50, lateness.p99, lateness.p999, lateness.max].map((it) => it.median.toFixed(2)).join(' / ');
    return [
      `${sessions} × ${intervalMs} ms`,
      subject,
      show(microsPerPair),
      `${(cpuShare.median * 100).toFixed(1)} %`,
      pairsPerSecond.median.toFixed(0),
      turnsPerSecond?.median.toFixed(0) ?? '',
      late(turnDelays),
      late(transmitDelays),
      isFloor(subject) ? '' : String(row.falseDowns.median),
    ];
  });
  const quantiles = 'p50 / p99 / p99.9 / max, ms';
  return table(
    ['load', 'subject', 'µs/pair', 'of a core', 'pairs/s', 'turns/s', `turn late: ${quantiles}`, `sent late: ${quantiles}`, 'false Downs'],
    lines,
  );
}

function moreTables(results: Readonly<Record<string, Kept>>): string {
  const daemons = dataOf<DaemonRow[]>(results, 'daemons') ?? [];
  const detection = dataOf<DetectionRow[]>(results, 'detection') ?? [];
  const endurance = dataOf<HoldRow[]>(results, 'endurance') ?? [];
  const loads = dataOf<LoadRow[]>(results, 'load') ?? [];
  const nextHops = dataOf<NextHopsRow[]>(results, 'nexthops') ?? [];
  const restarts = dataOf<RestartRow[]>(results, 'restarts') ?? [];
  const simulated = dataOf<SimulatedRow[]>(results, 'simulated') ?? [];
  const getters = dataOf<GettersRow[]>(results, 'getters') ?? [];
  return [
    table(
      [
        'sessions',
        '`getSessions()`, µs per session',
        'its copy as JSON',
        'ratio',
        '`getSession()`, µs',
        'waking a thread, µs',
        'ratio',
        '`stats()`, µs',
      ],
      getters.map((row) => [
        String(row.sessions),
        show(row.perSession),
        show(row.jsonPerSession),
        show(row.ratio),
        show(row.one, 0),
        show(row.wake, 0),
        show(row.oneRatio),
        show(row.stats, 0),
      ]),
    ),
    table(
      ['detection lateness, ms', 'sessions', 'p50', 'p99', 'max'],
      detection.map(({ subject, sessions, lateness: { p50, p99, max } }) => [
        subject,
        String(sessions),
        show(p50, 3),
        show(p99, 3),
        show(max, 3),
      ]),
    ),
    table(
      ['BFD, 1000 sessions × 50 ms', 'µs/pair of the first', 'µs/pair of the second', 'pairs/s', 'not Up'],
      daemons.map(({ first, second, layout, microsPerPair, pairsPerSecond, lost }) => [
        `${first} and ${second}, ${layout === 'hub' ? 'the second has one address' : 'an address for each session'}`,
        show(microsPerPair.first, 1),
        show(microsPerPair.second, 1),
        pairsPerSecond.median.toFixed(0),
        String(lost),
      ]),
    ),
    table(
      ['held', 'subject', 's', 'left Up', 'socket drops', 'worst turn, ms'],
      endurance.map((row) => [
        row.what,
        row.subject,
        String(row.seconds),
        show(row.lost, 0),
        show(row.socketDrops, 0),
        show(row.worstTurnDelayMs, 1),
      ]),
    ),
    table(
      ['routes of one peer', '', 'until the kernel has answered, ms', 'the latest packet of other sessions meanwhile, ms'],
      nextHops.map(({ routes, what, objects, answered, worstTransmit }) => [
        `${String(routes)} ${what}`,
        objects ? 'on next-hop objects' : 'one by one',
        show(answered),
        show(worstTransmit),
      ]),
    ),
    table(
      ['1 000 × 10 ms under load', 's', 'left Up', 'unexplained', 'extensions', 'pairs/s', 'turn late: p50 / p99 / p99.9 / max, ms'],
      loads.map(({ stress, priority, seconds, lost, unexplained, extensions, pairsPerSecond, turnLate: { p50, p99, p999, max } }) => [
        `${stress || 'idle'}${priority === undefined ? '' : `, realtime ${priority}`}`,
        seconds.toFixed(0),
        String(lost),
        String(unexplained),
        String(extensions),
        pairsPerSecond.toFixed(0),
        [p50, p99, p999, max].map((ms) => ms.toFixed(2)).join(' / '),
      ]),
    ),
    table(
      ['restarts of one side, with `resume`', 'restarts', 'sessions that went Down, either side', 'the peer heard nothing for, ms'],
      restarts.map((row) => [row.what, String(row.restarts), String(row.downs), row.gapMs.toFixed(0)]),
    ),
    table(
      ['core alone, sessions', 'ns per event', 'bytes per session'],
      simulated.map((row) => [String(row.sessions), show(row.nanosPerEvent, 0), show(row.bytesPerSession, 0)]),
    ),
  ].join('\n\n');
}

/** A table in Markdown. */
function table(header: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`;
  return [line(header), line(header.map(() => '---')), ...rows.map(line)].join('\n');
}

/** Puts text between the two comments of a page that name it. */
function replaceBetween(file: string, name: string, text: string): void {
  const page = readFileSync(file, 'utf8');
  const [begin, end] = [`<!-- ${name}:begin -->`, `<!-- ${name}:end -->`];
  const [from, to] = [page.indexOf(begin), page.indexOf(end)];
  if (from < 0 || to < from) throw new Error(`${file} has no ${begin} … ${end}`);
  writeFileSync(file, `${page.slice(0, from + begin.length)}\n\n${text}\n\n${page.slice(to)}`);
}
