/** The passive role (RFC 5880 §6.1) with other daemons. */
import { afterEach, beforeEach, expect, it } from 'vitest';

import type { SessionSnapshot } from '../../ts/index.js';
import { Agent, type LogLine, pause } from '../netns/agent.js';
import type { Lab } from '../netns/lab.js';
import { describeWhere, LAB_PROGRAMS, lacking } from '../netns/needs.js';
import { Bird } from './bird.js';
import { Frr } from './frr.js';
import { linkedLab, SINGLE_HOP } from './paths.js';
import { type PeerDaemon, TIMERS } from './peer-daemon.js';
import { until } from './until.js';

/** An active session sends within a second (RFC 5880 §6.8.3). */
const SILENCE_MS = 1_500;

const DAEMONS = [
  { name: 'BIRD', program: 'bird', make: (lab: Lab): PeerDaemon => new Bird(lab, lab.two) },
  { name: 'FRR', program: 'bfdd', make: (lab: Lab): PeerDaemon => new Frr(lab, lab.two) },
] as const;

for (const { name, program, make } of DAEMONS) {
  describeWhere(`passive sessions with ${name}`, lacking([...LAB_PROGRAMS, program], { asRoot: true }), () => {
    let lab: Lab;
    let daemon: PeerDaemon;
    let agent: Agent;

    beforeEach(async () => {
      lab = linkedLab();
      daemon = make(lab);
      agent = new Agent(lab, lab.one);
      await agent.call('start', { protocol: 'bfd', bindIP: ['0.0.0.0', '::'], txMin: 50, rxMin: 50, detectMult: 3 });
    });
    afterEach(async () => {
      await agent.kill();
      await daemon.close();
      lab.close();
    });

    const register = async (passive: boolean): Promise<void> => {
      for (const { ours, theirs } of SINGLE_HOP) {
        await agent.call('registerSession', { iface: lab.one.iface, localIP: ours, peerIP: theirs }, { passive });
      }
    };
    const states = async (): Promise<string[]> => (await agent.call<SessionSnapshot[]>('sessions')).map(({ state }) => state);
    const allAre = async (state: string): Promise<boolean> =>
      (await states()).every((it) => it === state) && daemon.sessions().every((it) => it.state === state);
    const counted = async (what: 'tx' | 'rx' | 'unknownPeer'): Promise<number> =>
      (await agent.stats()).endpoints.reduce((sum, endpoint) => sum + endpoint[what], 0);
    const warnings = async (): Promise<string[]> =>
      (await agent.call<(LogLine & { level: string })[]>('logged'))
        .filter(({ level }) => level === 'warn')
        .map(({ message }) => message)
        .filter((message) => message.includes('`passive`'));

    it('send nothing before the daemon is there, and come Up with it', async () => {
      await register(true);
      await pause(SILENCE_MS);
      expect(await counted('tx')).toBe(0);
      expect(await states()).toEqual(['down', 'down', 'down']);
      await daemon.start({ paths: SINGLE_HOP, timers: TIMERS });
      await until('every session to be Up on both sides', () => allAre('up'));
    });

    it('come Up when the daemon is passive and the agent is not', async () => {
      await daemon.start({ paths: SINGLE_HOP, timers: TIMERS, passive: true });
      await register(false);
      await until('every session to be Up on both sides', () => allAre('up'));
      expect(await warnings()).toEqual([]);
    });

    it('stay Down and send nothing when both ends are passive, of which the manager warns once', async () => {
      await daemon.start({ paths: SINGLE_HOP, timers: TIMERS, passive: true });
      await register(true);
      await pause(SILENCE_MS);
      expect([await counted('tx'), await counted('rx'), await counted('unknownPeer')]).toEqual([0, 0, 0]);
      expect(await allAre('down')).toBe(true);
      expect(daemon.sessions()).toHaveLength(SINGLE_HOP.length);
      expect(await warnings()).toEqual([expect.stringContaining('if the peer is passive too, they never come up')]);
    });
  });
}
