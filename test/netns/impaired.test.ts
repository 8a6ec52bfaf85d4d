/** A path that delays, reorders, doubles, damages and loses packets: a relay between the hosts (`crate/examples/relay.rs`). */
import { afterEach, beforeAll, beforeEach, expect, it } from 'vitest';

import { Agent, isAdd, pause, registerService } from './agent.js';
import { BUILD_PATIENCE_MS, buildExamples, Example } from './example.js';
import { describeLab, Lab } from './lab.js';
import { IS_LONG } from './needs.js';
import { whileThreadsRun } from './scheduling.js';

/** The seed of the relay: printed where a run fails. */
const SEED = Number(process.env['RELAY_SEED'] ?? Date.now() % 100_000);
const IMPAIRED_MS = IS_LONG ? 20_000 : 3_000;
const PATIENCE_MS = 15_000;

interface Counts {
  readonly packets: number;
  readonly lost: number;
  readonly damaged: number;
  readonly duplicated: number;
  readonly overtaken: number;
  readonly late: number;
}

describeLab(`sessions at 100 ms × 3 over a bad path (seed ${SEED})`, [], () => {
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
  const counts = async (example: Example): Promise<Counts> => {
    example.write('counts');
    return example.read<Counts>();
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
    const { endpoints } = await agent.stats();
    return endpoints.flatMap(({ rxInvalid }) => Object.values(rxInvalid)).reduce((total, count) => total + count, 0);
  };

  // What is lost is never two packets in a row: with the longest delay after the shortest that is a silence of 250 ms.
  const bad = { delayMs: 40, jitterMs: 15, duplicate: 20 };
  // The longest delay after the shortest is a silence of 240 ms; some packets overtake the one before.
  const disordered = { delayMs: 65, jitterMs: 65, duplicate: 20 };
  it.each<[string, { setup: object; happens: (keyof Counts)[]; reaches?: boolean }]>([
    ['late, overtaking each other and doubled', { setup: disordered, happens: ['overtaken', 'duplicated'] }],
    [
      'late, overtaking each other and doubled one way only',
      { setup: { ...disordered, ways: 'forth' }, happens: ['overtaken', 'duplicated'] },
    ],
    ['late, doubled, and some of them lost', { setup: { ...bad, lose: 10, inARow: 1 }, happens: ['duplicated', 'lost'] }],
    [
      'late, doubled, and some of them damaged, so that the kernel drops them',
      { setup: { ...bad, damage: 10, inARow: 1 }, happens: ['duplicated', 'damaged'] },
    ],
    [
      'late, doubled, and some of them damaged where they name the receiver, under a checksum that fits',
      { setup: { ...bad, damage: 10, inARow: 1, mendChecksum: true, damagedBytes: [8, 11] }, happens: ['damaged'], reaches: true },
    ],
    [
      'damaged by the third in bytes that mean nothing, under a checksum that fits',
      { setup: { ...bad, damage: 33, mendChecksum: true, damagedBytes: [20, 39] }, happens: ['damaged'] },
    ],
  ])('come Up and stay Up while packets are %s', async (_what, { setup, happens, reaches = false }) => {
    const example = await relay(setup);
    const agents = await begin();
    for (const agent of agents) await agent.event(isAdd);
    const refused = async (): Promise<number> => (await Promise.all(agents.map(invalid))).reduce((total, count) => total + count, 0);
    const hasHappened = async (): Promise<boolean> => {
      const happened = await counts(example);
      return happens.every((what) => happened[what] > 0) && (!reaches || (await refused()) > 0);
    };
    const impair = async (): Promise<() => void> => {
      await settled(agents);
      const marks = agents.map((agent) => agent.events.length);
      // As long as it takes: when what is drawn happens is chance.
      await pause(IMPAIRED_MS);
      while (!(await hasHappened())) await pause(100);
      const isUp = await isSettled(agents);
      return () => {
        agents.forEach((agent, index) => expect(agent.events.slice(marks[index])).toEqual([]));
        expect(isUp).toBe(true);
      };
    };
    await whileThreadsRun(agents, 25, impair, async () => (await counts(example)).late);
    // What does not name its receiver, and what no checksum vouches for, is not heard.
    if (!reaches) expect(await refused()).toBe(0);
    await example.end();
  });

  it('are Up and installed again after a third of the packets was damaged anywhere under a checksum that fits', async () => {
    const example = await relay({ ...bad, damage: 33, mendChecksum: true });
    const agents = await begin();
    await pause(IMPAIRED_MS);
    while ((await counts(example)).damaged === 0) await pause(100);
    example.write('forward');
    const goOn = async (): Promise<() => void> => {
      await settled(agents);
      const marks = agents.map((agent) => agent.events.length);
      await pause(1_000);
      return () => agents.forEach((agent, index) => expect(agent.events.slice(marks[index])).toEqual([]));
    };
    await whileThreadsRun(agents, 25, goOn, async () => (await counts(example)).late);
    await example.end();
  });
});
