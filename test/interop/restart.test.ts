/** An agent that is killed and restarted with its state file: the daemons of others keep their sessions Up. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterEach, expect, it } from 'vitest';

import { Agent, pause } from '../netns/agent.js';
import type { Lab } from '../netns/lab.js';
import { describeWhere, IS_LONG, LAB_PROGRAMS, lacking } from '../netns/needs.js';
import { Bird } from './bird.js';
import { Frr } from './frr.js';
import { type BfdPath, linkedLab, MULTIHOP, routedLab, SINGLE_HOP } from './paths.js';
import type { PeerDaemon } from './peer-daemon.js';
import { until } from './until.js';

/** A detection time of many seconds: the test does not depend on how soon a process starts. */
const SLOW = { tx: 200, rx: 200, multiplier: 50 };

const BIRD_ON_LINK = ['BIRD on one link', linkedLab, SINGLE_HOP, (lab: Lab): PeerDaemon => new Bird(lab, lab.two)] as const;

/** Nightly. */
const OTHERS = [
  ['FRR on one link', linkedLab, SINGLE_HOP, (lab: Lab): PeerDaemon => new Frr(lab, lab.two)],
  ['FRR behind a router', routedLab, MULTIHOP, (lab: Lab): PeerDaemon => new Frr(lab, lab.two)],
  ['BIRD behind a router', routedLab, MULTIHOP, (lab: Lab): PeerDaemon => new Bird(lab, lab.two)],
] as const;

describeWhere('after kill -9 and a restart with a state file', lacking([...LAB_PROGRAMS, 'bird', 'bfdd'], { asRoot: true }), () => {
  const undo: (() => Promise<void> | void)[] = [];
  afterEach(async () => {
    for (const step of undo.splice(0).reverse()) await step();
  });

  it.each([BIRD_ON_LINK, ...(IS_LONG ? OTHERS : [])])('the sessions with %s go on', async (_, makeLab, paths, make) => {
    const lab = makeLab();
    undo.push(() => lab.close());
    const folder = mkdtempSync(join(tmpdir(), 'restart-'));
    undo.push(() => rmSync(folder, { recursive: true }));
    const daemon = make(lab);
    undo.push(() => daemon.close());
    await daemon.start({ paths, timers: SLOW });

    const start = async (agent: Agent): Promise<number> => {
      const timers = { txMin: SLOW.tx, rxMin: SLOW.rx, detectMult: SLOW.multiplier };
      await agent.call('start', { protocol: 'bfd', bindIP: ['0.0.0.0', '::'], ...timers, resume: join(folder, 'state') });
      return agent.call('resumed');
    };
    const register = async (agent: Agent): Promise<void> => {
      for (const { ours, theirs, multihop } of paths) {
        const peer = { iface: lab.one.iface, localIP: ours, peerIP: theirs };
        await agent.call('registerSession', peer, multihop ? { multihop } : {});
      }
    };
    const isUpThere = ({ theirs, ours }: BfdPath): boolean =>
      daemon.sessions().some(({ peer, state }) => (peer === ours || peer === theirs) && state === 'up');

    // They run from the beginning, so that no restart waits for a start of Node.
    const agents = Array.from({ length: 3 }, () => new Agent(lab, lab.one));
    let [agent] = agents as [Agent];
    expect(await start(agent)).toBe(0);
    await register(agent);
    await until('all sessions to be Up on both sides', async () => {
      const sessions = await agent.call<{ state: string; polling: boolean }[]>('sessions');
      return sessions.every(({ state, polling }) => state === 'up' && !polling) && paths.every(isUpThere);
    });
    for (const next of agents.slice(1)) {
      await agent.kill();
      agent = next;
      expect(await start(next)).toBe(paths.length);
      await pause(SLOW.tx);
      await register(next);
      // A daemon that had gone Down would have said so with its next packet.
      await pause(2 * SLOW.tx);
      expect(next.events.flatMap(({ from, to }) => (to === undefined ? [] : [`${from} to ${to}`]))).toEqual(
        paths.map(() => 'admin_down to up'),
      );
      expect(paths.every(isUpThere)).toBe(true);
    }
  });
});
