/** What only the native engine does: sessions and withdrawals that do not depend on the event loop. */
import { readdirSync, readFileSync } from 'node:fs';

import { afterEach, beforeEach, expect, it } from 'vitest';

import { type Agent, isAdd, isDelete, pause, startPair } from './agent.js';
import { describeLab, Lab } from './lab.js';
import { ArrivalMonitor, RouteMonitor } from './monitor.js';
import { whileThreadsRun } from './scheduling.js';

/** What is promised on top of the detection time, with room for a busy machine: the figures are the bench's. */
const WITHDRAWAL_SLACK_MS = 250;
const DETECT_MS = 150;

describeLab('two hosts on the native engine', ['nft', 'tcpdump'], () => {
  let lab: Lab;

  beforeEach(() => {
    lab = new Lab();
  });

  afterEach(() => {
    lab.close();
  });

  it('are Up again within 1.3 s after a short and after a long outage', async () => {
    const agents = await startPair(lab);
    for (const outage of [500, 10_000]) {
      lab.cutBoth();
      await pause(outage);
      for (const host of [lab.one, lab.two]) expect(lab.routes(host)).toEqual([]);
      const marks = agents.map((agent) => agent.events.length);
      lab.healBoth();
      const healedAt = Date.now();
      const back = await Promise.all(agents.map((agent, index) => agent.event(isAdd, marks[index])));
      for (const { at } of back) expect(at - healedAt).toBeLessThan(1_300);
    }
  });

  it('pin the thread of their sessions to a CPU, and no other thread', async () => {
    const agents = await startPair(lab, () => ({ realtime: { cpu: 0 } }));
    for (const { pid } of agents) {
      const threads = new Map(
        readdirSync(`/proc/${pid}/task`).map((tid) => {
          const status = readFileSync(`/proc/${pid}/task/${tid}/status`, 'utf8');
          const field = (name: string): string => new RegExp(`^${name}:\\s+(\\S+)$`, 'm').exec(status)?.[1] ?? '';
          return [tid === String(pid) ? 'main' : field('Name'), field('Cpus_allowed_list')];
        }),
      );
      expect(threads.get('liveness')).toBe('0');
      for (const name of ['liveness-routes', 'liveness-watch']) expect(threads.get(name), name).toBe(threads.get('main'));
    }
  });

  /** Nothing changes on either host while something is done to JavaScript on both; 40 ms late is early enough at 50 ms × 3. */
  async function expectNoChange(agents: readonly Agent[], disturb: (agent: Agent) => Promise<() => void>): Promise<void> {
    await whileThreadsRun(agents, 40, async () => {
      for (const agent of agents) await expect.poll(() => agent.sessions(), { timeout: 10_000 }).toMatchObject([{ state: 'up' }]);
      const marks = agents.map((agent) => agent.events.length);
      const checks = await Promise.all(agents.map(disturb));
      await pause(500);
      const states = (await Promise.all(agents.map((agent) => agent.sessions()))).flat().map(({ state }) => state);
      return () => {
        for (const check of checks) check();
        agents.forEach((agent, index) => expect(agent.changes(marks[index] ?? 0)).toEqual([]));
        expect(states).toEqual(['up', 'up']);
      };
    });
  }

  it('change no session while JavaScript is blocked for three seconds on both', async () => {
    const agents = await startPair(lab);
    await expectNoChange(agents, async (agent) => {
      await agent.call('block', 3_000);
      return () => undefined;
    });
  });

  it('change no session while JavaScript stands at a breakpoint for three seconds on both', async () => {
    const agents = await startPair(lab);
    await expectNoChange(agents, async (agent) => {
      const paused = await agent.call<number>('breakpoint', 3_000);
      return () => expect(paused).toBeGreaterThanOrEqual(2_999);
    });
  });

  it('change no session while JavaScript allocates without pause for three seconds on both', async () => {
    const agents = await startPair(lab, () => ({ txMin: 100, rxMin: 100 }));
    await expectNoChange(agents, async (agent) => {
      const collections = await agent.call<number>('litter', 3_000);
      return () => expect(collections, 'garbage was collected').toBeGreaterThan(10);
    });
  });

  it.each(['block', 'breakpoint'])('withdraw the route of a path that is cut while JavaScript does not run (%s)', async (how) => {
    const [one] = await startPair(lab);
    const arrivals = await ArrivalMonitor.start(lab, lab.one);
    const routes = new RouteMonitor(lab, lab.one);
    await pause(300);
    const blocked = one.call(how, 3_000);
    await one.event(({ event }) => event === 'standstill');
    const cutAt = Date.now();
    lab.cutBoth();
    const gone = await routes.notice('delete', lab.two.service, cutAt);
    expect(gone.at - arrivals.last).toBeLessThan(DETECT_MS + WITHDRAWAL_SLACK_MS);
    expect(one.events.some(isDelete), 'JavaScript has heard of it').toBe(false);
    await blocked;
    await one.event(isDelete);
  });
});
