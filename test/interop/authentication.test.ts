/** Authentication (RFC 5880 §6.7) with BIRD, which has every type of it. */
import { afterEach, beforeEach, expect, it } from 'vitest';

import type { SessionSnapshot } from '../../ts/index.js';
import { Agent, pause } from '../netns/agent.js';
import type { Lab } from '../netns/lab.js';
import { describeWhere, LAB_PROGRAMS, lacking } from '../netns/needs.js';
import { Bird } from './bird.js';
import { type BfdPath, linkedLab, SINGLE_HOP } from './paths.js';
import { type Neighbours, TIMERS } from './peer-daemon.js';
import { until } from './until.js';

const TYPES = ['simple', 'md5', 'meticulous-md5', 'sha1', 'meticulous-sha1'] as const;
const [FIRST, SECOND] = [
  { id: 1, key: 'the first key' },
  { id: 2, key: 'the next key' },
] as const;

/** How long a session with a wrong key is watched. */
const WATCHED_MS = 3_000;

describeWhere('authenticated sessions with BIRD', lacking([...LAB_PROGRAMS, 'bird'], { asRoot: true }), () => {
  const path = SINGLE_HOP[1] as BfdPath;
  let lab: Lab;
  let bird: Bird;
  let agent: Agent;

  beforeEach(async () => {
    lab = linkedLab();
    bird = new Bird(lab, lab.two);
    agent = new Agent(lab, lab.one);
    await agent.call('start', { protocol: 'bfd', bindIP: '::', txMin: 50, rxMin: 50, detectMult: 3 });
  });
  afterEach(async () => {
    await agent.kill();
    await bird.close();
    lab.close();
  });

  const neighbours = (type: string, keys: readonly { id: number; key: string }[]): Neighbours => {
    return { paths: [path], timers: TIMERS, auth: { type, keys } };
  };
  const register = (type: string, keys: readonly { id: number; key: string }[]): Promise<void> => {
    const peer = { iface: lab.one.iface, localIP: path.ours, peerIP: path.theirs };
    return agent.call('registerSession', peer, { auth: { type, keys } });
  };
  const session = async (): Promise<SessionSnapshot | undefined> => {
    const [seen] = await agent.call<SessionSnapshot[]>('sessions');
    return seen;
  };
  const isUp = async (): Promise<boolean> => (await session())?.state === 'up' && bird.sessions()[0]?.state === 'up';
  const dropped = async (): Promise<Record<string, number>> => {
    const { endpoints } = await agent.stats();
    const counts = endpoints.flatMap(({ rxInvalid }) => Object.entries(rxInvalid).filter(([, count]) => count > 0));
    return Object.fromEntries(counts);
  };

  it.each(TYPES)('of type %s come Up, and stay so while the keys of both sides are changed one after the other', async (type) => {
    await bird.start(neighbours(type, [FIRST]));
    await register(type, [FIRST]);
    await until('the session to be Up', isUp);
    expect(await session()).toMatchObject({ authKeyId: 1 });
    const from = agent.events.length;
    await register(type, [FIRST, SECOND]);
    await pause(500);
    await bird.change(neighbours(type, [SECOND, FIRST]));
    await pause(500);
    await register(type, [SECOND]);
    await pause(500);
    await bird.change(neighbours(type, [SECOND]));
    await pause(500);
    expect(await session()).toMatchObject({ state: 'up', authKeyId: 2 });
    expect(agent.events.slice(from)).toEqual([]);
    expect(await dropped()).toEqual({});
  });

  it.each([
    { title: 'with another key', theirs: { type: 'sha1', keys: [{ id: 1, key: 'wrong' }] }, reason: 'bad_auth' },
    { title: 'with a key of another id', theirs: { type: 'sha1', keys: [{ ...FIRST, id: 7 }] }, reason: 'bad_auth' },
    { title: 'with another type', theirs: { type: 'meticulous-sha1', keys: [FIRST] }, reason: 'bad_auth' },
    { title: 'without a key', theirs: undefined, reason: 'missing_auth' },
  ])('stay Down where BIRD is configured $title, and its packets are counted', async ({ theirs, reason }) => {
    await bird.start({ paths: [path], timers: TIMERS, auth: theirs });
    await register('sha1', [FIRST]);
    await pause(WATCHED_MS);
    expect((await session())?.state).toBe('down');
    const counts = await dropped();
    expect(Object.keys(counts)).toEqual([reason]);
  });

  it('stay Down where only BIRD has a key', async () => {
    await bird.start(neighbours('sha1', [FIRST]));
    await agent.call('registerSession', { iface: lab.one.iface, localIP: path.ours, peerIP: path.theirs });
    await pause(WATCHED_MS);
    expect((await session())?.state).toBe('down');
    expect(Object.keys(await dropped())).toEqual(['unexpected_auth']);
  });

  it('come Up again after either side was killed and started again', async () => {
    await bird.start(neighbours('meticulous-sha1', [FIRST]));
    await register('meticulous-sha1', [FIRST]);
    await until('the session to be Up', isUp);
    await bird.kill();
    await until('the agent to notice', async () => (await session())?.state === 'down');
    await bird.start(neighbours('meticulous-sha1', [FIRST]));
    await until('the session to be Up again', isUp);
    await agent.kill();
    agent = new Agent(lab, lab.one);
    await agent.call('start', { protocol: 'bfd', bindIP: '::', txMin: 50, rxMin: 50, detectMult: 3 });
    await register('meticulous-sha1', [FIRST]);
    await until('the session to be Up with the new agent', isUp);
  });
});
