/** A path that delays, reorders, doubles, damages and loses packets: a relay between the hosts (`crate/examples/relay.rs`). */
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';

import { Agent, isAdd, pause, registerService } from './agent.js';
import { BUILD_PATIENCE_MS, buildExamples, Example } from './example.js';
import { cannotRun, Lab } from './lab.js';

/** The seed of the relay: printed where a run fails. */
const SEED = Number(process.env['RELAY_SEED'] ?? Date.now() % 100_000);
const IMPAIRED_MS = 5_000;
const PATIENCE_MS = 15_000;

interface Counts {
  readonly packets: number;
  readonly lost: number;
  readonly damaged: number;
  readonly duplicated: number;
  readonly overtaken: number;
}

describe.skipIf(cannotRun())(`sessions at 100 ms × 3 over a bad path (seed ${SEED})`, () => {
  let lab: Lab;

  beforeAll(() => {
    buildExamples('relay');
  }, BUILD_PATIENCE_MS);

  beforeEach(() => {
    lab = new Lab({ relayed: true });
  });

  afterEach(() => {
    lab.close();
  });

  const relay = async (setup: object): Promise<Example> => {
    const example = new Example(lab, { name: lab.middle ?? '' }, 'relay', { seed: SEED, seconds: 60, ...setup });
    await example.read();
    return example;
  };
  const begin = async (): Promise<[Agent, Agent]> => {
    const config = { txMin: 100, rxMin: 100 };
    const agents = (await Promise.all([lab.one, lab.two].map((host) => Agent.start(lab, host, config)))) as [Agent, Agent];
    await Promise.all(agents.map((agent) => registerService(lab, agent)));
    return agents;
  };
  const isSettled = async (agents: readonly Agent[]): Promise<boolean> => {
    const sessions = (await Promise.all(agents.map((agent) => agent.sessions()))).flat();
    const isUp = sessions.every(({ state, routes }) => state === 'up' && routes.every((it) => it.installed));
    return isUp && agents.every(({ host }) => lab.has(host, lab.other(host).service));
  };
  const settled = async (agents: readonly Agent[]): Promise<void> => {
    const deadline = Date.now() + PATIENCE_MS;
    while (!(await isSettled(agents))) {
      if (Date.now() > deadline) throw new Error('not Up and installed in time');
      await pause(20);
    }
  };
  const invalid = async (agent: Agent): Promise<number> => {
    const { scopes } = await agent.stats();
    return scopes.flatMap(({ rxInvalid }) => Object.values(rxInvalid)).reduce((total, count) => total + count, 0);
  };

  // What is lost is never two packets in a row: with the longest delay after the shortest that is a silence of 280 ms.
  const bad = { delayMs: 40, jitterMs: 30, duplicate: 20 };
  it.each<[string, { setup: object; damaged?: boolean; reaches?: boolean }]>([
    ['late, overtaking each other and doubled', { setup: bad }],
    ['late one way only', { setup: { ...bad, ways: 'forth' } }],
    ['late, doubled, and some of them lost', { setup: { ...bad, lose: 10, inARow: 1 } }],
    ['late, doubled, and some of them damaged, so that the kernel drops them', { setup: { ...bad, damage: 10, inARow: 1 }, damaged: true }],
    [
      'late, doubled, and some of them damaged where they name the receiver, under a checksum that fits',
      { setup: { ...bad, damage: 10, inARow: 1, mendChecksum: true, damagedBytes: [8, 11] }, damaged: true, reaches: true },
    ],
    [
      'damaged by the third in bytes that mean nothing, under a checksum that fits',
      { setup: { ...bad, damage: 33, mendChecksum: true, damagedBytes: [20, 39] }, damaged: true },
    ],
  ])('come Up and stay Up while packets are %s', async (_what, { setup, damaged = false, reaches = false }) => {
    const example = await relay(setup);
    const agents = await begin();
    for (const agent of agents) await agent.event(isAdd);
    const marks = agents.map((agent) => agent.events.length);
    await pause(IMPAIRED_MS);
    agents.forEach((agent, index) => expect(agent.events.slice(marks[index])).toEqual([]));
    expect(await isSettled(agents)).toBe(true);
    const refused = (await Promise.all(agents.map(invalid))).reduce((total, count) => total + count, 0);
    await example.end();
    const counts = await example.read<Counts>();
    expect(counts.duplicated).toBeGreaterThan(0);
    expect(counts.overtaken).toBeGreaterThan(0);
    expect(counts.damaged > 0).toBe(damaged);
    // What does not name its receiver, and what no checksum vouches for, is not heard.
    expect(refused > 0).toBe(reaches);
  });

  it('are Up and installed again after a third of the packets was damaged anywhere under a checksum that fits', async () => {
    const example = await relay({ ...bad, damage: 33, mendChecksum: true });
    const agents = await begin();
    await pause(IMPAIRED_MS);
    example.write('forward');
    await settled(agents);
    const marks = agents.map((agent) => agent.events.length);
    await pause(1_000);
    agents.forEach((agent, index) => expect(agent.events.slice(marks[index])).toEqual([]));
    await example.end();
    expect((await example.read<Counts>()).damaged).toBeGreaterThan(0);
  });
});
