/** A host where BIRD holds the ports of BFD: what a manager says, and what works all the same. */
import { afterEach, beforeEach, expect, it } from 'vitest';

import type { SessionSnapshot } from '../../ts/index.js';
import { Agent } from '../netns/agent.js';
import type { Lab } from '../netns/lab.js';
import { describeWhere, LAB_PROGRAMS, lacking } from '../netns/needs.js';
import { type Accepted, Bird } from './bird.js';
import { type BfdPath, linkedLab, SINGLE_HOP } from './paths.js';
import { TIMERS } from './peer-daemon.js';
import { until } from './until.js';

const NO_PATHS = { paths: [], timers: TIMERS };
const CONFIG = { protocol: 'bfd', txMin: 50, rxMin: 50, detectMult: 3 };
const [OVER_IPV4, OVER_IPV6] = SINGLE_HOP as readonly [BfdPath, BfdPath, BfdPath];

describeWhere('a manager on a host where BIRD runs BFD', lacking([...LAB_PROGRAMS, 'bird'], { asRoot: true }), () => {
  let lab: Lab;
  let agent: Agent;
  const undo: (() => Promise<void>)[] = [];

  beforeEach(() => {
    lab = linkedLab();
    agent = new Agent(lab, lab.one);
    undo.push(() => agent.kill());
  });
  afterEach(async () => {
    for (const step of undo.splice(0).reverse()) await step();
    lab.close();
  });

  /** BIRD beside the agent. Gives its name and process as an error is to tell them. */
  const startBeside = async (accepted: Accepted): Promise<string> => {
    const bird = new Bird(lab, lab.one, [], accepted);
    undo.push(() => bird.close());
    await bird.start(NO_PATHS);
    return `bird (process ${bird.pids[0] ?? 0})`;
  };

  it.each([
    ['0.0.0.0', '0.0.0.0, port 3784'],
    ['::', '::, port 3784'],
    [['10.201.0.1', '::'], '10.201.0.1 and ::, port 3784'],
  ])('does not start on %j, and says that BIRD holds the port', async (bindIP, where) => {
    const holder = await startBeside('all');
    const refused = agent.call('start', { ...CONFIG, bindIP });
    await expect(refused).rejects.toMatchObject({ code: 'EADDRINUSE', message: expect.stringContaining(where) as string });
    await expect(refused).rejects.toThrow(`UDP port 3784 is held by ${holder}`);
  });

  it('runs single-hop sessions where BIRD holds the port of multihop alone, and says so when a multihop session is registered', async () => {
    const holder = await startBeside('multihop');
    const peer = new Bird(lab, lab.two);
    undo.push(() => peer.close());
    await peer.start({ paths: [OVER_IPV4, OVER_IPV6], timers: TIMERS });
    await agent.call('start', { ...CONFIG, bindIP: ['0.0.0.0', '::'] });
    const register = ({ ours, theirs }: Pick<BfdPath, 'ours' | 'theirs'>, options = {}): Promise<void> =>
      agent.call('registerSession', { iface: lab.one.iface, localIP: ours, peerIP: theirs }, options);

    const refused = register({ ours: OVER_IPV4.ours, theirs: '10.202.2.1' }, { multihop: true });
    await expect(refused).rejects.toMatchObject({ code: 'EADDRINUSE' });
    await expect(refused).rejects.toThrow(`UDP port 4784 is held by ${holder}`);

    await register(OVER_IPV4);
    await register(OVER_IPV6);
    const states = async (): Promise<string[]> => (await agent.call<SessionSnapshot[]>('sessions')).map(({ state }) => state);
    await until('the single-hop sessions to be Up', async () => (await states()).every((state) => state === 'up'));
    expect(await states(), 'the refused one is not registered').toHaveLength(2);
  });
});
