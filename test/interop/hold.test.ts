/** A hundred sessions at 50 ms × 3 with each daemon: none goes Down while nothing happens to the link. */
import { afterEach, expect, it } from 'vitest';

import type { ManagerStats } from '../../ts/index.js';
import { Agent, type AgentEvent, pause } from '../netns/agent.js';
import type { Lab } from '../netns/lab.js';
import { describeWhere, IS_LONG, LAB_PROGRAMS, lacking } from '../netns/needs.js';
import { Bird } from './bird.js';
import { CoreWaits } from './core-waits.js';
import { Frr } from './frr.js';
import { manyLab, manyPaths } from './many.js';
import { type PeerDaemon, TIMERS } from './peer-daemon.js';
import { until } from './until.js';

const SESSIONS = 100;

/** Ten minutes nightly. */
const HOLD_MS = IS_LONG ? 600_000 : 10_000;

/** A process that waited for a core for so long, in milliseconds, has missed a third of the detection time. */
const STARVED_MS = 50;
const MOST_HOLDS = 3;

describeWhere('a hundred sessions at 50 ms × 3', lacking([...LAB_PROGRAMS, 'bird', 'bfdd'], { asRoot: true }), () => {
  const undo: (() => Promise<void> | void)[] = [];
  afterEach(async () => {
    for (const step of undo.splice(0).reverse()) await step();
  });

  it.each([
    ['BIRD', (lab: Lab): PeerDaemon => new Bird(lab, lab.two), {}],
    ['FRR', (lab: Lab): PeerDaemon => new Frr(lab, lab.two), {}],
    ['BIRD, and a filter of repeats,', (lab: Lab): PeerDaemon => new Bird(lab, lab.two), { filterRepeats: true }],
    ['FRR, and a filter of repeats,', (lab: Lab): PeerDaemon => new Frr(lab, lab.two), { filterRepeats: true }],
  ] as const)(
    'with %s stay Up on both sides',
    async (_, make, config) => {
      const lab = manyLab(SESSIONS);
      undo.push(() => lab.close());
      const daemon = make(lab);
      undo.push(() => daemon.close());
      const paths = manyPaths(SESSIONS);
      await daemon.start({ paths, timers: TIMERS });
      const agent = await Agent.start(lab, lab.one, { protocol: 'bfd', bindIP: '0.0.0.0', ...config });
      undo.push(() => agent.kill());
      for (const { ours, theirs } of paths) {
        await agent.call('registerSession', { iface: lab.one.iface, localIP: ours, peerIP: theirs });
      }
      const upThere = (): number => daemon.sessions().filter(({ state }) => state === 'up').length;
      const upHere = async (): Promise<number> => (await agent.sessions()).filter(({ state }) => state === 'up').length;
      const allUp = async (): Promise<boolean> => (await upHere()) === SESSIONS && upThere() === SESSIONS;
      /** What happened in one hold, and the longest that a process waited for a core meanwhile. */
      const hold = async (): Promise<{ before: ManagerStats; changes: AgentEvent[]; waitedMs: number }> => {
        await until('all sessions to be Up on both sides', allUp);
        await pause(1_000);
        const from = agent.events.length;
        const before = await agent.stats();
        const waits = new CoreWaits([agent.pid, ...daemon.pids]);
        await pause(HOLD_MS);
        return { before, waitedMs: waits.end(), changes: agent.events.slice(from) };
      };
      let held = await hold();
      // A Down because the machine let a process wait says nothing of either program.
      for (let holds = 1; holds < MOST_HOLDS && held.changes.length > 0 && held.waitedMs > STARVED_MS; holds += 1) held = await hold();
      const { before, changes, waitedMs } = held;
      expect(changes, `a process waited ${waitedMs.toFixed(1)} ms for a core`).toEqual([]);
      expect([await upHere(), upThere()]).toEqual([SESSIONS, SESSIONS]);
      const repeats = ({ repeatsFiltered }: ManagerStats): number => repeatsFiltered;
      const sent = (stats: ManagerStats): number => stats.endpoints.reduce((sum, endpoint) => sum + endpoint.tx, 0);
      // Nearly all of what these daemons send repeats, if not all.
      if ('filterRepeats' in config) expect(repeats(await agent.stats()) - repeats(before)).toBeGreaterThan(SESSIONS);
      else expect(repeats(await agent.stats())).toBe(0);
      const perSecond = (sent(await agent.stats()) - sent(before)) / SESSIONS / (HOLD_MS / 1_000);
      // 50 ms, less a jitter of 25 % at most (RFC 5880 §6.8.7).
      expect(perSecond).toBeLessThan(1_000 / 37.5 + 1);
    },
    MOST_HOLDS * HOLD_MS + 90_000,
  );
});
