/** BFD on the JavaScript engine, which cannot check the TTL of packets, with BIRD. */
import { afterAll, beforeAll, expect, it } from 'vitest';

import type { Route, SessionSnapshot } from '../../ts/index.js';
import { Agent } from '../netns/agent.js';
import { run } from '../netns/command.js';
import type { Lab } from '../netns/lab.js';
import { describeWhere, LAB_PROGRAMS, lacking } from '../netns/needs.js';
import { Bird } from './bird.js';
import { type BfdPath, linkedLab, SINGLE_HOP } from './paths.js';
import { TIMERS } from './peer-daemon.js';
import { until } from './until.js';

describeWhere('the JavaScript engine with BIRD', lacking([...LAB_PROGRAMS, 'bird'], { asRoot: true }), () => {
  let lab: Lab;
  let bird: Bird;
  let agent: Agent;

  beforeAll(async () => {
    lab = linkedLab();
    bird = new Bird(lab, lab.two);
    await bird.start({ paths: SINGLE_HOP, timers: TIMERS });
    agent = new Agent(lab, lab.one);
  });
  afterAll(async () => {
    await agent.kill();
    await bird.close();
    lab.close();
  });

  const CONFIG = { protocol: 'bfd', engine: 'js', bindIP: ['0.0.0.0', '::'], txMin: 50, rxMin: 50, detectMult: 3 };
  const routeOver = ({ ours, theirs, service }: BfdPath): Route => {
    return { table: 254, dst: service, src: ours, nextHop: theirs, protocol: 186 };
  };
  const installed = (): string[] =>
    SINGLE_HOP.flatMap(({ service }) => {
      const family = service.includes(':') ? '-6' : '-4';
      return run('ip', ['-n', lab.one.name, family, 'route', 'show', 'exact', service]) === '' ? [] : [service];
    });
  const becomes = (state: 'up' | 'down'): Promise<void> =>
    until(`every session to be ${state} on both sides, and the routes with it`, async () => {
      const ours = await agent.call<SessionSnapshot[]>('sessions');
      const sessions = [...ours, ...bird.sessions()];
      const routes = state === 'up' ? SINGLE_HOP.length : 0;
      return sessions.length === 2 * SINGLE_HOP.length && sessions.every((it) => it.state === state) && installed().length === routes;
    });

  it('does not start without `minTtl: 1`, which says that any TTL is accepted', async () => {
    const refused = agent.call('start', CONFIG);
    await expect(refused).rejects.toMatchObject({
      code: 'ERR_ENGINE_UNAVAILABLE',
      message: expect.stringContaining('`minTtl: 1`') as string,
    });
  });

  it('comes Up over IPv4, IPv6 and link-local addresses, goes Down when the link is cut, and comes back', async () => {
    await agent.call('start', { ...CONFIG, minTtl: 1 });
    await Promise.all(SINGLE_HOP.map((path) => agent.register(routeOver(path), { peerIP: path.theirs })));
    await becomes('up');
    lab.cutBoth();
    await becomes('down');
    lab.healBoth();
    await becomes('up');
    await until('the intervals of both sides to count', () => bird.sessions().every(({ detectTime }) => detectTime === 150));
  });
});
