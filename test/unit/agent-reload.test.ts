/** What a reload of the agent changes, and what keeps it from changing anything. */
import { rmSync } from 'node:fs';
import { join } from 'node:path';

import { describe, expect, it } from 'vitest';

import type { RoutesAnswer, SessionsAnswer } from '../../ts/agent/control-api.js';
import type { ConfiguredRoute, ConfiguredSession } from '../../ts/agent/config/registrations.js';
import { planReload, type ReloadPlan, type Wanted } from '../../ts/agent/reload-plan.js';
import { fileWith, routeBody, routeLine, TestAgent } from './agent-helpers.js';

interface Fields {
  readonly iface?: string;
  readonly protocol?: number;
  readonly txMin?: number;
  /** The number of the peer. Default: that of the route. */
  readonly peer?: number;
}

function route(number: number, { iface = 'eth0', protocol = 186, txMin = 100, peer = number }: Fields = {}): ConfiguredRoute {
  const peerIP = `10.0.0.${peer}`;
  const registration = {
    ...{ iface, peerIP, txMin, rxMin: 100, detectMult: 3 },
    route: { table: 254, dst: `10.9.0.${number}/32`, src: '10.0.0.1', nextHop: peerIP, protocol },
  };
  return { registration, peer: { iface, localIP: '10.0.0.1', peerIP }, path: [], place: undefined };
}

function session(number: number, txMin = 100): ConfiguredSession {
  const peer = { iface: 'eth0', localIP: '10.0.0.1', peerIP: `10.0.0.${number}` };
  return { peer, options: { txMin, rxMin: 100, detectMult: 3 }, path: [], place: undefined };
}

const wanted = (routes: ConfiguredRoute[], sessions: ConfiguredSession[] = []): Wanted => ({ routes, sessions });

/** The steps, by the numbers of routes and peers. */
function steps(plan: ReloadPlan): Record<string, string> {
  const numbers = (names: readonly string[]): string => names.map((name) => name.replace(/\/32$/, '').split('.').at(-1)).join(' ');
  return {
    first: numbers([...plan.first.routes.map((ref) => ref.route.dst), ...plan.first.sessions.map((peer) => peer.peerIP)]),
    routes: numbers(plan.routes.map(({ registration }) => registration.route.dst)),
    sessions: numbers(plan.sessions.map(({ peer }) => peer.peerIP)),
    last: numbers([...plan.last.routes.map((ref) => ref.route.dst), ...plan.last.sessions.map((peer) => peer.peerIP)]),
  };
}

describe('a reload is planned so that', () => {
  it.each([
    ['what stays is not touched', [route(2)], [route(2)], { first: '', routes: '', last: '' }],
    ['what is new is registered', [route(2)], [route(2), route(3)], { first: '', routes: '3', last: '' }],
    ['what is gone is withdrawn last', [route(2), route(3)], [route(3)], { first: '', routes: '', last: '2' }],
    ['other timers are registered in place', [route(2)], [route(2, { txMin: 200 })], { first: '', routes: '2', last: '' }],
    ['another peer of the same slot is registered in place', [route(2)], [route(2, { peer: 9 })], { first: '', routes: '2', last: '' }],
    [
      'a slot that goes to another interface is given up first',
      [route(2)],
      [route(2, { iface: 'eth1' })],
      { first: '2', routes: '2', last: '' },
    ],
    [
      'a slot that goes to another protocol is given up first',
      [route(2)],
      [route(2, { protocol: 187 })],
      { first: '2', routes: '2', last: '' },
    ],
    [
      'a route that is gone does not keep the timers of a session that it shares',
      [route(2), route(3, { peer: 2 })],
      [route(2, { txMin: 200 })],
      { first: '3', routes: '2', last: '' },
    ],
  ])('%s', (_, from, to, expected) => {
    expect(steps(planReload(wanted(from), wanted(to)))).toMatchObject(expected);
  });

  it.each([
    ['a new session is registered', [], [session(2)], { first: '', sessions: '2', last: '' }],
    ['one that is gone is withdrawn last', [session(2)], [], { first: '', sessions: '', last: '2' }],
    ['other timers are registered in place', [session(2)], [session(2, 200)], { first: '', sessions: '2', last: '' }],
  ])('of sessions by themselves %s', (_, from, to, expected) => {
    expect(steps(planReload(wanted([], from), wanted([], to)))).toMatchObject(expected);
  });

  it('a session by itself and the route that shares it get other timers together', () => {
    const plan = planReload(wanted([route(2)], [session(2)]), wanted([route(2, { txMin: 200 })], [session(2, 200)]));
    expect(steps(plan)).toEqual({ first: '', routes: '2', sessions: '2', last: '' });
    expect(plan).toMatchObject({ added: 0, removed: 0, changed: 2 });
  });
});

const withRoutes = (...lines: string[]): string => fileWith(`    routes:\n${lines.join('\n')}`);

async function routesOf(agent: TestAgent): Promise<[string, string][]> {
  const { routes } = (await agent.ask('/routes')).json as RoutesAnswer;
  return routes.map(({ dst, origin }) => [dst.replace('127.0.9.', '').replace('/32', ''), origin] as [string, string]).sort();
}

/** What the log says of the last reload. */
function lastLine({ lines }: TestAgent): string {
  return lines.map(({ msg }) => String(msg)).findLast((text) => text.includes('reloaded')) ?? '';
}

describe('a reload', () => {
  it('adds, removes and changes what the file does, and says how much', async () => {
    const agent = await TestAgent.start(withRoutes(routeLine(1), routeLine(2), routeLine(3)));
    agent.rewrite(withRoutes(routeLine(2), routeLine(3, ', timers: slow'), routeLine(4)));
    await agent.agent.reload();
    expect(await routesOf(agent)).toEqual([
      ['2', 'config'],
      ['3', 'config'],
      ['4', 'config'],
    ]);
    const { sessions } = (await agent.ask('/sessions')).json as SessionsAnswer;
    const discriminators = sessions.map(({ peer_ip, detect_time_ms }) => [peer_ip, detect_time_ms]);
    expect(discriminators).toContainEqual(['127.0.9.3', 1_500]);
    expect(lastLine(agent)).toBe('reloaded: 1 added, 1 removed, 1 changed');
  });

  it('leaves a session that stays as it is, with its discriminator', async () => {
    const agent = await TestAgent.start(withRoutes(routeLine(1), routeLine(2)));
    const discriminator = async (): Promise<number | undefined> => {
      const { sessions } = (await agent.ask('/sessions?peer=127.0.9.1')).json as SessionsAnswer;
      return sessions[0]?.local_discr;
    };
    const before = await discriminator();
    agent.rewrite(withRoutes(routeLine(1, ', timers: slow')));
    await agent.agent.reload();
    expect(await discriminator()).toBe(before);
  });

  it('leaves the routes of the API, but for the slots that the file has now', async () => {
    const agent = await TestAgent.start(withRoutes(routeLine(1)));
    await agent.post('/routes', [routeBody(2), routeBody(3)]);
    agent.rewrite(withRoutes(routeLine(1), routeLine(2)));
    await agent.agent.reload();
    expect(await routesOf(agent)).toEqual([
      ['1', 'config'],
      ['2', 'config'],
      ['3', 'api'],
    ]);
    expect((await agent.post('/routes', routeBody(2), 'DELETE')).status).toBe(409);
  });

  it('leaves a route out of service that was taken out, also where its slot is given up first', async () => {
    const agent = await TestAgent.start(withRoutes(routeLine(1), routeLine(2), routeLine(3)));
    await agent.post('/admin-down', [routeBody(1), routeBody(2)]);
    const adminDown = async (): Promise<[string, number, boolean][]> => {
      const { routes } = (await agent.ask('/routes')).json as RoutesAnswer;
      return routes.map(({ dst, route_protocol, admin_down }) => [dst, route_protocol, admin_down] as [string, number, boolean]).sort();
    };
    const moved = ', protocol: 187';
    agent.rewrite(withRoutes(routeLine(1, moved), routeLine(2, ', timers: slow'), routeLine(3, moved)));
    await agent.agent.reload();
    expect(await adminDown()).toEqual([
      ['127.0.9.1/32', 187, true],
      ['127.0.9.2/32', 186, true],
      ['127.0.9.3/32', 187, false],
    ]);
    const { sessions } = (await agent.ask('/sessions?peer=127.0.9.1')).json as SessionsAnswer;
    expect(sessions.map(({ liveness_status }) => liveness_status)).toEqual(['admin_down']);
  });

  it('changes the timers of a session that a route of the API shares', async () => {
    const agent = await TestAgent.start(withRoutes(routeLine(1)));
    await agent.post('/routes', { ...routeBody(1), dst: '127.0.9.99/32', peer_ip: '127.0.9.1' });
    agent.rewrite(withRoutes(routeLine(1, ', timers: slow')));
    await agent.agent.reload();
    expect(lastLine(agent)).toBe('reloaded: 0 added, 0 removed, 1 changed');
    expect(await routesOf(agent)).toEqual([
      ['1', 'config'],
      ['99', 'api'],
    ]);
  });

  it('changes how a session is damped, which a route of the API shares, and nothing where it means the same', async () => {
    const agent = await TestAgent.start(withRoutes(routeLine(1, ', damping: true, holdUp: 500')));
    const shared = await agent.post('/routes', { ...routeBody(1), dst: '127.0.9.99/32', peer_ip: '127.0.9.1' });
    expect(shared.status).toBeLessThan(300);
    for (const [options, changed] of [
      ['damping: { halfLife: 5000 }, holdUp: 500', 0],
      ['damping: { halfLife: 6000 }, holdUp: 500', 1],
      ['damping: { halfLife: 6000 }, holdUp: 600', 1],
      ['damping: false, holdUp: 600', 1],
    ] as const) {
      agent.rewrite(withRoutes(routeLine(1, `, ${options}`)));
      await agent.agent.reload();
      expect(lastLine(agent), options).toBe(`reloaded: 0 added, 0 removed, ${changed} changed`);
    }
  });

  it('leaves a route of the API its own backup where the session that it shares changes', async () => {
    const backup = (hop: string): string => `, backup: { nextHop: 127.0.8.${hop}, iface: lo }`;
    const agent = await TestAgent.start(withRoutes(routeLine(1, backup('1'))));
    const shared = { ...routeBody(1), dst: '127.0.9.99/32', peer_ip: '127.0.9.1' };
    await agent.post('/routes', [
      { ...shared, backup: { next_hop: '127.0.8.2', iface: 'lo' } },
      { ...shared, dst: '127.0.9.98/32' },
    ]);
    agent.rewrite(withRoutes(routeLine(1, `, timers: slow${backup('1')}`)));
    await agent.agent.reload();
    expect(lastLine(agent)).toBe('reloaded: 0 added, 0 removed, 1 changed');
    const legs = async (): Promise<unknown> => {
      const { routes } = (await agent.ask('/routes')).json as RoutesAnswer;
      return Object.fromEntries(routes.map(({ dst, leg }) => [dst.split('.').at(-1), leg]));
    };
    await expect.poll(legs, { timeout: 10_000 }).toEqual({ '1/32': 'backup', '98/32': 'none', '99/32': 'backup' });
  });

  it('gives routes of the API that name a group of keys what the group has in it now', async () => {
    process.env['AGENT_TEST_KEY'] = 'key';
    const file = (id: number): string => {
      const group = `auth: { group: { type: sha1, keys: [{ id: ${id}, env: AGENT_TEST_KEY }] } }\n`;
      return `${group}${fileWith('    protocol: bfd\n    multihopPort: 0')}`;
    };
    const agent = await TestAgent.start(file(1));
    expect((await agent.post('/routes', routeBody(2, { auth: 'group' }))).status).toBe(200);
    const keyId = async (): Promise<unknown> => ((await agent.ask('/sessions')).json as SessionsAnswer).sessions[0]?.auth_key_id;
    expect(await keyId()).toBe(1);
    agent.rewrite(file(2));
    await agent.agent.reload();
    expect(await keyId()).toBe(2);
  });

  it('changes the level of the log', async () => {
    const agent = await TestAgent.start(withRoutes(routeLine(1)));
    agent.rewrite(`log: { level: error }\n${withRoutes(routeLine(1))}`);
    await agent.agent.reload();
    const before = agent.lines.length;
    await agent.post('/routes', routeBody(2));
    await agent.agent.reload();
    expect(agent.lines.length).toBe(before);
  });

  it('tells systemd when it begins and when it is over', async () => {
    const agent = await TestAgent.start(withRoutes(routeLine(1)));
    expect(agent.told).toEqual(['READY=1\nSTATUS=1 manager, 1 route']);
    await agent.agent.reload();
    expect(agent.told[1]).toMatch(/^RELOADING=1\nMONOTONIC_USEC=\d+$/);
    expect(agent.told[2]).toBe('READY=1\nSTATUS=1 manager, 1 route');
    await agent.agent.close();
    expect(agent.told[3]).toBe('STOPPING=1');
  });
});

describe('a reload changes nothing, and says why,', () => {
  const good = withRoutes(routeLine(1), routeLine(2));

  it.each([
    ['of a file with a fault', withRoutes(routeLine(1), routeLine(2, ', tables: 3')), 'Unknown option `tables` (did you mean `table`?)'],
    ['of a file that is cut off', good.slice(0, -20), 'Flow map in block collection must be sufficiently indented'],
    [
      'of another address',
      good.replace('bindIP: 127.0.0.1', 'bindIP: 0.0.0.0'),
      'a change of managers[0].bindIP needs a restart of the agent',
    ],
    ['of another protocol', good.replace('name: main', 'name: main\n    protocol: bfd'), 'a change of managers[0].protocol'],
    ['of another socket', good.replace('control.sock', 'other.sock'), 'a change of control.socket needs a restart of the agent'],
    [
      'of another name of a manager',
      good.replace('name: main', 'name: other'),
      'a change of managers (`main` is no longer there), managers[0] (`other` is new)',
    ],
    [
      'of another route of which one cannot be registered',
      withRoutes(routeLine(3), routeLine(1).replace('iface: lo', 'iface: nowhere0')),
      'routes[1].iface',
    ],
  ])('%s', async (_, file, why) => {
    const agent = await TestAgent.start(good);
    agent.rewrite(file);
    await agent.agent.reload();
    expect(lastLine(agent)).toMatch(/^nothing was reloaded: /);
    expect(lastLine(agent)).toContain(why);
    expect(await routesOf(agent)).toEqual([
      ['1', 'config'],
      ['2', 'config'],
    ]);
  });

  it('of a file that has vanished', async () => {
    const agent = await TestAgent.start(good);
    rmSync(join(agent.folder, 'agent.yaml'));
    await agent.agent.reload();
    expect(lastLine(agent)).toContain('The file cannot be read: ENOENT');
    expect((await agent.ask('/readyz')).status).toBe(200);
  });

  it('of a slot that is given up first, whose route was taken out of service and stays so', async () => {
    const files = (...routes: readonly string[]): string => fileWith(`    maxEvents: 4\n    routes:\n${routes.join('\n')}`);
    const agent = await TestAgent.start(files(routeLine(1)));
    await agent.post('/routes', routeBody(2));
    await agent.post('/admin-down', routeBody(1));
    agent.rewrite(files(routeLine(1, ', protocol: 187'), routeLine(3)));
    await agent.agent.reload();
    expect(lastLine(agent)).toContain('3 sessions are more than 2');
    const { routes } = (await agent.ask('/routes')).json as RoutesAnswer;
    expect(routes.map(({ dst, route_protocol, admin_down }) => [dst, route_protocol, admin_down])).toEqual([
      ['127.0.9.1/32', 186, true],
      ['127.0.9.2/32', 186, false],
    ]);
  });

  it('of a slot that another interface would take from a route of the API', async () => {
    const agent = await TestAgent.start(good);
    await agent.post('/routes', routeBody(3, { route_protocol: 187 }));
    agent.rewrite(withRoutes(routeLine(1, ', timers: slow'), routeLine(3)));
    await agent.agent.reload();
    expect(lastLine(agent)).toMatch(
      /^nothing was reloaded: managers\[0\]\.routes\[1\] \(line \d+\): .*is registered with protocol 187: withdraw it first$/,
    );
    expect((await routesOf(agent)).length).toBe(3);
    const { sessions } = (await agent.ask('/sessions?peer=127.0.9.1')).json as SessionsAnswer;
    expect(sessions[0]?.detect_time_ms).toBe(300);
  });
});

describe('a reload of which one part cannot be done', () => {
  it('puts back the other parts, which came before', async () => {
    const session = (number: number, timers: string): string =>
      `      - { iface: lo, localIP: 127.0.0.1, peerIP: 127.0.9.${number}${timers} }`;
    const files = (routes: readonly string[], sessions: readonly string[]): string => {
      return fileWith(`    maxEvents: 10\n    routes:\n${routes.join('\n')}\n    sessions:\n${sessions.join('\n')}`);
    };
    const agent = await TestAgent.start(files([routeLine(1), routeLine(2)], [session(5, '')]));
    expect((await agent.post('/routes', [routeBody(5), routeBody(6)])).status).toBe(200);
    // With the route of the API, and one that goes last, there is one session too many, and it is the last that is registered.
    const slow = ', timers: slow';
    agent.rewrite(files([routeLine(1, slow), routeLine(3)], [session(5, slow), session(7, '')]));
    await agent.agent.reload();
    expect(lastLine(agent)).toMatch(/^nothing was reloaded: managers\[0\]\.sessions\[1\] \(line \d+\): 6 sessions are more than 5/);
    expect(await routesOf(agent)).toEqual([
      ['1', 'config'],
      ['2', 'config'],
      ['5', 'api'],
      ['6', 'api'],
    ]);
    const { sessions } = (await agent.ask('/sessions')).json as SessionsAnswer;
    expect(sessions.map(({ detect_time_ms }) => detect_time_ms)).toEqual([300, 300, 300, 300]);
  });
});

describe('a watchdog', () => {
  it('hears of the agent while all its managers answer, in half of its time', async () => {
    const agent = await TestAgent.start(withRoutes(routeLine(1)), { watchdog: 100 });
    await expect.poll(() => agent.told.filter((state) => state === 'WATCHDOG=1').length, { timeout: 10_000 }).toBeGreaterThan(2);
  });
});
