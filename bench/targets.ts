/** What was promised, beside what was measured. */
import { type Figure, show } from './figures.js';
import type { Kept } from './results.js';
import type { CostRow, Subject } from './sections/cost.js';
import type { DaemonRow, Speaker } from './sections/daemons.js';
import type { DetectionRow, MassRow, WithdrawalRow } from './sections/detection.js';
import type { HoldRow } from './sections/endurance.js';
import type { GettersRow } from './sections/getters.js';
import type { LoadRow } from './sections/load.js';
import type { NextHopsRow } from './sections/next-hops.js';
import type { RestartRow } from './sections/restarts.js';
import type { GrowthRow, MemoryRow, SimulatedRow, StartRow } from './sections/growth.js';

export interface Target {
  readonly what: string;
  readonly promised: string;
  readonly measured: string;
  readonly met: boolean;
  /** Also shown in README, which has room for few. */
  readonly isHeadline?: boolean;
}

/** Each target of which something was measured. */
export function targets(results: Readonly<Record<string, Kept>>): Target[] {
  const all = [
    ...costTargets(dataOf<CostRow[]>(results, 'cost')),
    ...enduranceTargets(dataOf<HoldRow[]>(results, 'endurance')),
    ...detectionTargets(dataOf<DetectionRow[]>(results, 'detection')),
    ...withdrawalTargets(dataOf<WithdrawalRow[]>(results, 'withdrawal')),
    ...massTargets(dataOf<MassRow>(results, 'mass')),
    ...getterTargets(dataOf<GettersRow[]>(results, 'getters')),
    ...nextHopTargets(dataOf<NextHopsRow[]>(results, 'nexthops')),
    ...restartTargets(dataOf<RestartRow[]>(results, 'restarts')),
    ...loadTargets(dataOf<LoadRow[]>(results, 'load')),
    ...daemonTargets(dataOf<DaemonRow[]>(results, 'daemons')),
    ...growthTargets(results),
  ];
  return all.map((target) => ({ ...target, isHeadline: HEADLINES.some((headline) => headline.test(target.what)) }));
}

/** Other sessions are not to notice that routes change: a turn is that late by itself now and then. */
const MOST_LATER_MS = 1;

const HEADLINES = [
  /native ÷ (floor|js), 1000 × 100 ms/,
  /10 000 × 100 ms held/,
  /JavaScript blocked for/,
  /Detection lateness, 1000 sessions, median/,
  /until the route is gone/,
  /10 000 routes withdrawn/,
  /Resident memory per session/,
  /ours ÷ BIRD/,
  /of one peer/,
  /with `resume`/,
];

// The files are ours: what a section keeps is what it measured.
// eslint-disable-next-line @typescript-eslint/no-unnecessary-type-parameters
export function dataOf<T>(results: Readonly<Record<string, Kept>>, section: string): T | undefined {
  return results[section]?.data as T | undefined;
}

function atMost(what: string, figure: Figure, most: number, unit: string, digits = 2): Target {
  return { what, promised: `≤ ${most}${unit}`, measured: `${show(figure, digits)}${unit}`, met: figure.median <= most };
}

function costTargets(rows: CostRow[] = []): Target[] {
  const cost = (subject: Subject, sessions: number, intervalMs: number): Figure | undefined =>
    rows.find((row) => row.subject === subject && row.sessions === sessions && row.intervalMs === intervalMs)?.microsPerPair;
  const ratio = (other: Subject, sessions: number, intervalMs: number, most: number): Target[] => {
    const [ours, theirs] = [cost('native', sessions, intervalMs), cost(other, sessions, intervalMs)];
    if (ours === undefined || theirs === undefined) return [];
    const quotient = ours.median / theirs.median;
    return [
      {
        what: `CPU per packet pair, native ÷ ${other}, ${sessions} × ${intervalMs} ms`,
        promised: `≤ ${most.toFixed(2)}`,
        measured: `${quotient.toFixed(2)} (${show(ours, 1)} µs ÷ ${show(theirs, 1)} µs)`,
        met: quotient <= most,
      },
    ];
  };
  return [
    ...ratio('floor', 1_000, 100, 1.25),
    ...ratio('floor', 10_000, 100, 1.15),
    ...ratio('js', 1_000, 100, 0.7),
    ...ratio('js', 10_000, 300, 0.6),
  ];
}

function enduranceTargets(rows: HoldRow[] = []): Target[] {
  return rows
    .filter(({ subject }) => subject === 'native')
    .map(({ what, seconds, lost }) => ({
      what: `${what}, ${seconds} s: false Downs`,
      promised: '0',
      measured: String(lost.max),
      met: lost.max === 0,
    }));
}

function detectionTargets(rows: DetectionRow[] = []): Target[] {
  return rows
    .filter(({ subject }) => subject === 'native')
    .flatMap(({ sessions, lateness }) => [
      atMost(`Detection lateness, ${sessions} sessions, median`, lateness.p50, 0.25, ' ms', 3),
      atMost(`Detection lateness, ${sessions} sessions, p99`, lateness.p99, 1, ' ms', 3),
    ]);
}

function withdrawalTargets(rows: WithdrawalRow[] = []): Target[] {
  return rows.map(({ javascript, gone }) => atMost(`From the Down until the route is gone, JavaScript ${javascript}`, gone, 0.3, ' ms', 3));
}

function massTargets(row: MassRow | undefined): Target[] {
  if (row === undefined) return [];
  return [
    atMost('10 000 routes withdrawn at once, until the last is gone', row.withdrawn, 150, ' ms', 0),
    { what: 'Meanwhile, false Downs among the others', promised: '0', measured: String(row.falseDowns.max), met: row.falseDowns.max === 0 },
    atMost('10 000 routes registered, until the last first packet is sent', row.registered, 1_000, ' ms', 0),
  ];
}

function getterTargets(rows: GettersRow[] = []): Target[] {
  return rows.flatMap(({ sessions, perSession, ratio, one, oneRatio, stats }) => [
    {
      what: `\`getSessions()\` ÷ its copy as JSON, ${sessions} sessions`,
      promised: '≤ 0.50',
      measured: `${show(ratio)} (${show(perSession)} µs for each session)`,
      met: ratio.median <= 0.5,
    },
    {
      what: `\`getSession()\` ÷ waking a thread and hearing from it, ${sessions} sessions`,
      promised: '≤ 2.00',
      measured: `${show(oneRatio)} (${show(one, 0)} µs)`,
      met: oneRatio.median <= 2,
    },
    atMost(`\`stats()\`, ${sessions} sessions`, stats, 1_000, ' µs', 0),
  ]);
}

/** Routes on next-hop objects. What is promised of the sessions that live is a comparison with the loss of one route. */
function nextHopTargets(rows: NextHopsRow[] = []): Target[] {
  const of = (routes: number, what: NextHopsRow['what']): NextHopsRow | undefined =>
    rows.find((row) => row.objects && row.routes === routes && row.what === what);
  const promises = [
    [10_000, 'withdrawn', 8],
    [10_000, 'moved to the backup', 16],
    [1, 'moved to the backup', 0.4],
  ] as const;
  const answered = promises.flatMap(([routes, what, most]) => {
    const row = of(routes, what);
    const title = `${routes === 1 ? 'One route' : '10 000 routes'} of one peer ${what}, on next-hop objects`;
    return row === undefined ? [] : [atMost(title, row.answered, most, ' ms')];
  });
  const meanwhile = (['withdrawn', 'moved to the backup'] as const).flatMap((what) => {
    const [many, one] = [of(10_000, what)?.worstTransmit, of(1, what)?.worstTransmit];
    if (many === undefined || one === undefined) return [];
    return {
      what: `Meanwhile (${what}), the latest packet of other sessions, beyond that with one route`,
      promised: `≤ ${MOST_LATER_MS} ms`,
      measured: `${(many.median - one.median).toFixed(2)} ms (${show(many)} − ${show(one)})`,
      met: many.median - one.median <= MOST_LATER_MS,
    };
  });
  return [...answered, ...meanwhile];
}

function restartTargets(rows: RestartRow[] = []): Target[] {
  return rows.map(({ what, restarts, downs }) => ({
    what: `${what}, with \`resume\`, ${restarts} times: sessions that went Down, either side`,
    promised: '0',
    measured: String(downs),
    met: downs === 0,
  }));
}

/** Under a real-time load no promise can be kept but that every Down is explained. */
function loadTargets(rows: LoadRow[] = []): Target[] {
  return rows.map(({ stress, priority, seconds, lost, unexplained }) => {
    const bad = priority === undefined ? lost : unexplained;
    const load = `${stress === '' ? 'idle' : `\`stress-ng ${stress}\``}${priority === undefined ? '' : `, realtime ${priority}`}`;
    const what = priority === undefined ? 'false Downs' : 'Downs that neither host explains';
    return { what: `1 000 × 10 ms held, ${load}, ${seconds.toFixed(0)} s: ${what}`, promised: '0', measured: String(bad), met: bad === 0 };
  });
}

/** BIRD opens a socket for each address of its own: with one address it is at its best, and it cannot meet itself so. */
function daemonTargets(rows: DaemonRow[] = []): Target[] {
  const cost = (first: Speaker, second: Speaker, layout: DaemonRow['layout']): Figure | undefined =>
    rows.find((row) => row.first === first && row.second === second && row.layout === layout)?.microsPerPair.second;
  const ratio = (what: string, ours: Figure | undefined, bird: Figure | undefined): Target[] => {
    if (ours === undefined || bird === undefined) return [];
    const quotient = ours.median / bird.median;
    const measured = `${quotient.toFixed(2)} (${show(ours, 1)} µs ÷ ${show(bird, 1)} µs)`;
    return [{ what: `BFD, CPU per packet pair, ours ÷ BIRD, 1000 × 50 ms, ${what}`, promised: '≤ 0.60', measured, met: quotient <= 0.6 }];
  };
  return [
    ...ratio('each with itself, an address for each session', cost('ours', 'ours', 'pairs'), cost('BIRD', 'BIRD', 'pairs')),
    ...ratio('each with ours, one address for all', cost('ours', 'ours', 'hub'), cost('ours', 'BIRD', 'hub')),
    ...ratio('the same with `filterRepeats`', cost('ours, filtered', 'ours, filtered', 'hub'), cost('ours, filtered', 'BIRD', 'hub')),
  ];
}

function growthTargets(results: Readonly<Record<string, Kept>>): Target[] {
  const growth = dataOf<GrowthRow>(results, 'growth');
  const memory = dataOf<MemoryRow>(results, 'memory');
  const start = dataOf<StartRow>(results, 'start');
  const million = dataOf<SimulatedRow[]>(results, 'simulated')?.find(({ sessions }) => sessions === 1_000_000);
  const list: Target[] = [];
  if (growth?.few !== undefined && growth.many !== undefined) {
    const quotient = growth.many.microsPerPair.median / growth.few.microsPerPair.median;
    list.push({
      what: 'CPU per packet pair, 50 000 sessions ÷ 5 000, same packets per second',
      promised: '≤ 1.10',
      measured: `${quotient.toFixed(2)} (${show(growth.many.microsPerPair, 1)} µs ÷ ${show(growth.few.microsPerPair, 1)} µs)`,
      met: quotient <= 1.1,
    });
  }
  if (memory !== undefined) list.push(atMost('Resident memory per session, all of the process', memory.perSession, 1_600, ' B', 0));
  if (million !== undefined) {
    list.push(atMost('Of it the Rust core', million.bytesPerSession, 320, ' B', 0));
    list.push(atMost('Simulated, 1 000 000 sessions, per event', million.nanosPerEvent, 300, ' ns', 0));
  }
  if (start !== undefined) {
    const measured = `${start.beyond.toFixed(1)} ms (${show(start.started, 0)} − ${show(start.empty, 0)})`;
    list.push({
      what: '`import` and `Manager.start` beyond an empty Node process',
      promised: '≤ 30 ms',
      measured,
      met: start.beyond <= 30,
    });
  }
  return list;
}
