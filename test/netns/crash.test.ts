/**
 * An agent that is killed at any moment, again and again: after each restart and adoption the kernel's table holds exactly
 * the routes whose sessions are Up, and nothing of anybody else's was touched. CRASHES sets how often; a few by default.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterEach, beforeEach, expect, it } from 'vitest';

import type { Route } from '../../ts/index.js';
import { Agent, pause, registerService } from './agent.js';
import { describeLab, Lab } from './lab.js';

const CRASHES = Number(process.env['CRASHES'] ?? 6);
/** With a state file each restart finds the session as it was, within a detection time that no process exceeds: fewer show the same. */
const WITH_STATE = Number(process.env['CRASHES'] ?? 3);
const PATIENT = { detectMult: 240 };
const LEFT = { protocol: 186, table: 254 };
const PATIENCE_MS = 15_000;
const TEST_TIMEOUT_MS = 60_000 + Math.max(CRASHES, WITH_STATE) * PATIENCE_MS;

/** The seed of the timestamps: printed where a run fails. */
const SEED = Number(process.env['CRASH_SEED'] ?? Date.now() % 100_000);

function generator(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state * 1_103_515_245 + 12_345) % 2 ** 31;
    return state / 2 ** 31;
  };
}

describeLab('an agent that is killed', [], () => {
  let lab: Lab;
  let folder: string;

  beforeEach(() => {
    lab = new Lab();
    folder = mkdtempSync(join(tmpdir(), 'crash-'));
  });

  afterEach(() => {
    lab.close();
    rmSync(folder, { recursive: true });
  });

  const routes = (): { alive: Route[]; dead: Route[] } => {
    const to = (dst: string): Route => ({ table: 254, dst, src: lab.one.address, nextHop: lab.two.address, protocol: 186 });
    const prefixes = (net: number): Route[] => Array.from({ length: 8 }, (_, index) => to(`10.${net}.0.${index + 1}`));
    return { alive: prefixes(77).map(slash32), dead: prefixes(78).map(slash32) };
  };
  const slash32 = (route: Route): Route => ({ ...route, dst: `${route.dst}/32` });

  const restart = async (config: Record<string, unknown>): Promise<Agent> => {
    const agent = await Agent.start(lab, lab.one, config);
    const { alive, dead } = routes();
    const register = (list: Route[], peerIP: string) => list.map((route) => ({ route, iface: lab.one.iface, peerIP }));
    await agent.call('registerRoutes', [...register(alive, lab.two.address), ...register(dead, '10.201.0.99')]);
    await agent.call('adoptRoutes', LEFT);
    await agent.call('sweepRoutes', LEFT);
    return agent;
  };

  /** What the table holds of ours, and whether each registered route is where its session wants it. */
  const view = async (agent: Agent): Promise<{ table: string[]; agrees: boolean }> => {
    const sessions = await agent.sessions();
    const agrees = sessions.every(({ state, routes: of }) => of.every((it) => it.installed === (state === 'up')));
    return { table: installed(), agrees };
  };
  const isSettled = (seen: { table: string[]; agrees: boolean }, expected: string[]): boolean =>
    seen.agrees && JSON.stringify(seen.table) === JSON.stringify(expected);

  const installed = (): string[] =>
    lab
      .routes(lab.one)
      .flatMap(({ dst, protocol }) => (protocol === '186' ? [dst] : []))
      .sort();

  it.each<[number, string, boolean]>([
    [CRASHES, '', false],
    [WITH_STATE, ' with a state file', true],
  ])(
    `and restarted %i times%s installs the routes of its sessions again each time, and no other (seed ${SEED})`,
    async (crashes, _, hasState) => {
      const random = generator(SEED);
      const config = hasState ? { ...PATIENT, resume: join(folder, 'state') } : {};
      const peer = await Agent.start(lab, lab.two, hasState ? PATIENT : {});
      await registerService(lab, peer);
      lab.route(lab.one, 'add', '10.99.0.1/32', 'via', lab.two.address, 'proto', '42');
      const expected = routes()
        .alive.map(({ dst }) => dst.replace('/32', ''))
        .sort();
      for (let crash = 0; crash < crashes; crash += 1) {
        // Some of it before anything is Up, some in the midst of installing, some when all is quiet; now and then a route stays
        // that nobody wants any more.
        const agent = await restart(config);
        if (hasState) expect(await agent.call('resumed'), `before crash ${crash}`).toBe(Math.min(crash, 1));
        await pause(random() * 700);
        if (random() < 0.3) lab.route(lab.one, 'add', '10.79.0.1/32', 'via', lab.two.address, 'proto', '186');
        await agent.kill();

        const reborn = await restart(config);
        const deadline = Date.now() + PATIENCE_MS;
        let seen = await view(reborn);
        // Adopted routes are held for a while, until their sessions are Up or have had their time.
        while (!isSettled(seen, expected) && Date.now() < deadline) {
          await pause(50);
          seen = await view(reborn);
        }
        expect(isSettled(seen, expected), `crash ${crash}: ${JSON.stringify(seen)}`).toBe(true);
        expect(lab.routes(lab.one).filter(({ protocol }) => protocol === '42')).toHaveLength(1);
        await reborn.kill();
      }
    },
    TEST_TIMEOUT_MS,
  );
});
