/** What is held for a while: no false Down under load, nor while JavaScript is blocked. */
import type { Context } from '../context.js';
import { figure, type Figure } from '../figures.js';
import { openLab } from '../stage.js';
import { startEndpoint, untilUp } from './cost.js';

export interface HoldRow {
  readonly what: string;
  readonly subject: string;
  readonly seconds: number;
  /** Sessions that left Up although their peers lived, on both sides. */
  readonly lost: Figure;
  readonly socketDrops: Figure;
  readonly worstTurnDelayMs: Figure;
}

interface Trial {
  readonly what: string;
  readonly subject: 'native' | 'js';
  readonly sessions: number;
  readonly intervalMs: number;
  readonly seconds: number;
  /** JavaScript spins on both sides for so long, in milliseconds. */
  readonly blockMs?: number;
}

export async function measureEndurance(context: Context): Promise<HoldRow[]> {
  const seconds = context.quick ? 5 : 60;
  const trials: Trial[] = [
    { what: '10 000 × 100 ms held', subject: 'native', sessions: 10_000, intervalMs: 100, seconds },
    { what: '2 000 × 30 ms held', subject: 'native', sessions: 2_000, intervalMs: 30, seconds },
    { what: '1 000 × 100 ms, JavaScript blocked for 3 s', subject: 'native', sessions: 1_000, intervalMs: 100, seconds: 5, blockMs: 3_000 },
    { what: '1 000 × 100 ms, JavaScript blocked for 3 s', subject: 'js', sessions: 1_000, intervalMs: 100, seconds: 5, blockMs: 3_000 },
  ];
  const rows: HoldRow[] = [];
  for (const trial of context.quick ? trials.slice(2) : trials) {
    const runs: { lost: number; socketDrops: number; worstTurnDelayMs: number }[] = [];
    // A minute of each says as much as five of one.
    const times = trial.seconds > 10 ? 1 : context.runs;
    for (let round = 0; round < times; round += 1) {
      context.progress(`endurance: ${trial.what}, ${trial.subject}, run ${round + 1} of ${times}`);
      runs.push(await hold(context, trial));
    }
    rows.push({
      what: trial.what,
      subject: trial.subject,
      seconds: trial.seconds,
      lost: figure(runs.map((run) => run.lost)),
      socketDrops: figure(runs.map((run) => run.socketDrops)),
      worstTurnDelayMs: figure(runs.map((run) => run.worstTurnDelayMs)),
    });
  }
  return rows;
}

async function hold(context: Context, trial: Trial): Promise<{ lost: number; socketDrops: number; worstTurnDelayMs: number }> {
  const { subject, sessions, blockMs } = trial;
  const lab = openLab(sessions);
  try {
    const endpoints = await Promise.all(([1, 2] as const).map((side) => startEndpoint(lab, side, subject, trial)));
    const up = await untilUp(endpoints, sessions);
    if (!up) return { lost: sessions, socketDrops: NaN, worstTurnDelayMs: NaN };
    await context.pause(1_000);
    for (const endpoint of endpoints) await endpoint.call('takeTransitions');
    const blocked = blockMs === undefined ? [] : endpoints.map((endpoint) => endpoint.call('block', blockMs));
    await context.pause(trial.seconds * 1_000);
    await Promise.all(blocked);
    const transitions = await Promise.all(endpoints.map((endpoint) => endpoint.call('takeTransitions')));
    const counts = await Promise.all(endpoints.map((endpoint) => endpoint.counts()));
    return {
      lost: transitions.reduce((sum, { fromUp }) => sum + fromUp, 0),
      socketDrops: counts.reduce((sum, { socketDrops }) => sum + socketDrops, 0),
      worstTurnDelayMs: Math.max(...counts.map(({ worstTurnDelay }) => worstTurnDelay)),
    };
  } finally {
    lab.close();
  }
}
