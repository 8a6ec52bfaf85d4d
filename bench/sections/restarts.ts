/** What peers notice of restarts with a state file: nothing is promised, within their detection time. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import type { Context } from '../context.js';
import type { Endpoint } from '../endpoint.js';
import { openLab } from '../stage.js';
import { startEndpoint } from './cost.js';

export interface RestartRow {
  readonly what: string;
  readonly restarts: number;
  /** Sessions that left Up on either side, or did not go on, in all restarts. */
  readonly downs: number;
  /** The longest time in which the peer heard nothing of any session, of all restarts. */
  readonly gapMs: number;
}

interface Trial {
  readonly what: string;
  readonly sessions: number;
  readonly intervalMs: number;
  /** The predecessor hands over, or is killed before its successor is started. */
  readonly how: 'handover' | 'kill -9';
}

const SESSIONS = 1_000;

export async function measureRestarts(context: Context): Promise<RestartRow[]> {
  const restarts = context.quick ? 3 : 20;
  const trials: Trial[] = [
    { what: '1 000 × 100 ms × 3, planned: handover', sessions: SESSIONS, intervalMs: 100, how: 'handover' },
    { what: '1 000 × 300 ms × 3, kill -9', sessions: SESSIONS, intervalMs: 300, how: 'kill -9' },
  ];
  const rows: RestartRow[] = [];
  for (const trial of trials) rows.push(await restart(context, trial, restarts));
  return rows;
}

async function restart(context: Context, trial: Trial, restarts: number): Promise<RestartRow> {
  const { what, sessions } = trial;
  const lab = openLab(sessions);
  const folder = mkdtempSync(join(tmpdir(), 'restarts-'));
  const resume = join(folder, 'state');
  try {
    let ours = await startEndpoint(lab, 1, 'native', trial, { resume });
    let downs = 0;
    const peer = await startEndpoint(lab, 2, 'native', trial);
    await bothUp([ours, peer], sessions);
    await peer.call('takeTransitions');
    for (let round = 0; round < restarts; round += 1) {
      context.progress(`restarts: ${what}, ${round + 1} of ${restarts}`);
      await context.pause(1_000);
      if (trial.how === 'kill -9') ours.signal('SIGKILL');
      const next = await startEndpoint(lab, 1, 'native', trial, { resume });
      downs += sessions - (await next.call('resumed'));
      await bothUp([next, peer], sessions);
      await context.pause(1_000);
      downs += (await next.call('takeTransitions')).fromUp + (await peer.call('takeTransitions')).fromUp;
      if (trial.how === 'handover') await ours.end();
      ours = next;
    }
    return { what, restarts, downs, gapMs: await peer.call('worstGap') };
  } finally {
    lab.close();
    rmSync(folder, { recursive: true });
  }
}

/** Without a look at their transitions, which are what is counted. */
async function bothUp(endpoints: readonly Endpoint[], sessions: number): Promise<void> {
  const deadline = Date.now() + 20_000;
  while (Date.now() < deadline) {
    const counts = await Promise.all(endpoints.map((endpoint) => endpoint.counts()));
    if (counts.every(({ up }) => up === sessions)) return;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error('not all sessions come Up');
}
