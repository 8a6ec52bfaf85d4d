/** A route of the control API whose session the file has, too: a reload changes the session, and the route follows. */
import { afterEach, describe, expect, it, vi } from 'vitest';

import type { RoutesAnswer, SessionJson, SessionsAnswer } from '../../ts/agent/control-api.js';
import { Manager } from '../../ts/index.js';
import { fileWith, routeBody, routeLine, TestAgent } from './agent-helpers.js';
import { startFake } from './fake-engine.js';

afterEach(() => vi.restoreAllMocks());

const withRoutes = (...lines: string[]): string => fileWith(`    routes:\n${lines.join('\n')}`);

/** A file with a session by itself, to the peer of the route with that number. */
const withSession = (number: number, fields = ''): string => {
  return fileWith(`    sessions:\n      - { iface: lo, localIP: 127.0.0.1, peerIP: 127.0.9.${number}${fields} }`);
};

/** A route of the API whose session is that of the route with the number 1. */
const shared = (fields: Record<string, unknown> = {}): Record<string, unknown> => {
  return { ...routeBody(1), dst: '127.0.9.99/32', peer_ip: '127.0.9.1', ...fields };
};

/** Manager and groups of keys for BFD; `key` is the id of each group's key. */
const bfdWith = (groups: Record<string, number>, registrations = ''): string => {
  process.env['AGENT_TEST_KEY'] = 'key';
  const lines = Object.entries(groups).map(([name, id]) => `  ${name}: { type: sha1, keys: [{ id: ${id}, env: AGENT_TEST_KEY }] }`);
  return `auth:\n${lines.join('\n')}\n${fileWith(`    protocol: bfd\n    multihopPort: 0\n${registrations}`)}`;
};

async function sessionsOf(agent: TestAgent): Promise<readonly SessionJson[]> {
  return ((await agent.ask('/sessions')).json as SessionsAnswer).sessions;
}

async function detectTimes(agent: TestAgent): Promise<number[]> {
  return (await sessionsOf(agent)).map(({ detect_time_ms }) => detect_time_ms);
}

async function keyIds(agent: TestAgent): Promise<unknown[]> {
  return (await sessionsOf(agent)).map(({ auth_key_id }) => auth_key_id);
}

async function destinations(agent: TestAgent): Promise<[string, string][]> {
  const { routes } = (await agent.ask('/routes')).json as RoutesAnswer;
  return routes.map(({ dst, origin }) => [dst, origin] as [string, string]).sort();
}

function lastLine({ lines }: TestAgent): string {
  return lines.map(({ msg }) => String(msg)).findLast((text) => text.includes('reloaded')) ?? '';
}

/** Reloads a file, of which nothing may be wrong. */
async function reload(agent: TestAgent, file: string): Promise<void> {
  agent.rewrite(file);
  await agent.agent.reload();
  expect(lastLine(agent)).toMatch(/^reloaded: /);
  expect(agent.lines.filter(({ level }) => Number(level) >= 50)).toEqual([]);
}

/** Reloads a file that cannot be applied. */
async function refuse(agent: TestAgent, file: string): Promise<void> {
  agent.rewrite(file);
  await agent.agent.reload();
  expect(lastLine(agent)).toMatch(/^nothing was reloaded: /);
  expect(agent.lines.filter(({ msg }) => String(msg).includes('could not all be restored'))).toEqual([]);
}

describe('a route of the API has the options that its session has in the file', () => {
  it('after a reload that changes them where the file has routes of the session', async () => {
    const agent = await TestAgent.start(withRoutes(routeLine(1)));
    await agent.post('/routes', shared());
    await reload(agent, withRoutes(routeLine(1, ', timers: slow')));
    expect(await detectTimes(agent)).toEqual([1_500]);
  });

  it('after a reload that changes them where the file has the session alone', async () => {
    const agent = await TestAgent.start(withSession(1));
    await agent.post('/routes', shared());
    await reload(agent, withSession(1, ', timers: slow'));
    expect(await detectTimes(agent)).toEqual([1_500]);
    expect(await destinations(agent)).toEqual([['127.0.9.99/32', 'api']]);
  });

  it.each([
    ['a route', withRoutes(routeLine(2), routeLine(1, ', timers: slow'))],
    ['the session alone', withSession(1, ', timers: slow')],
  ])('from the reload on that gives the file %s', async (_, file) => {
    const agent = await TestAgent.start(withRoutes(routeLine(2)));
    await agent.post('/routes', shared({ tx_min_ms: 200 }));
    await reload(agent, file);
    expect(await detectTimes(agent)).toContain(1_500);
  });

  it('still, when the session is no longer in the file', async () => {
    const agent = await TestAgent.start(withRoutes(routeLine(1), routeLine(2)));
    await agent.post('/routes', shared());
    await reload(agent, withRoutes(routeLine(1, ', timers: slow')));
    await reload(agent, withRoutes(routeLine(2)));
    expect((await detectTimes(agent)).sort()).toEqual([1_500, 300]);
    await reload(agent, withRoutes(routeLine(2), routeLine(1)));
    expect(await detectTimes(agent)).toEqual([300, 300]);
  });

  it('where the request writes the address of the peer in another form', async () => {
    const line = (timers: string): string => `      - { iface: lo, dst: 2001:db8::7/128, nextHop: 2001:db8::7, src: '::1'${timers} }`;
    const file = (timers: string): string => withRoutes(line(timers)).replace('127.0.0.1', '::1');
    const agent = await TestAgent.start(file(''));
    const body = { iface: 'lo', dst: '2001:DB8:0::7/128', next_hop: '2001:db8::7', src: '::1', priority: 5 };
    expect((await agent.post('/routes', body)).status).toBe(200);
    await reload(agent, file(', timers: slow'));
    expect(await detectTimes(agent)).toEqual([1_500]);
  });
});

describe('a route of the API has the keys that its session has in the file', () => {
  const route = (fields: string): string => `    routes:\n${routeLine(1, fields)}`;
  const session = (fields: string): string => `    sessions:\n      - { iface: lo, localIP: 127.0.0.1, peerIP: 127.0.9.1${fields} }`;

  it.each([
    ['routes of the session', route],
    ['the session alone', session],
  ])('after a rotation where the file has %s', async (_, registrations) => {
    const file = (id: number): string => bfdWith({ group: id }, registrations(', auth: group'));
    const agent = await TestAgent.start(file(1));
    expect((await agent.post('/routes', shared())).status).toBe(200);
    await reload(agent, file(2));
    expect(await keyIds(agent)).toEqual([2]);
  });

  it('and those of the group that it names, with the timers of before, once the file no longer has the session', async () => {
    const agent = await TestAgent.start(bfdWith({ group: 1 }, route(', auth: group')));
    expect((await agent.post('/routes', shared({ auth: 'group' }))).status).toBe(200);
    await reload(agent, bfdWith({ group: 1 }, route(', auth: group, timers: slow')));
    await reload(agent, bfdWith({ group: 2 }));
    expect(await keyIds(agent)).toEqual([2]);
    // Another route of the session has to name the same timers.
    const other = { ...shared({ auth: 'group' }), dst: '127.0.9.98/32' };
    expect((await agent.post('/routes', other)).status).toBe(400);
    expect((await agent.post('/routes', { ...other, tx_min_ms: 500, rx_min_ms: 500 })).status).toBe(200);
  });

  it('also where another route of the API shares the session and names the keys themselves', async () => {
    const agent = await TestAgent.start(bfdWith({ group: 1 }));
    const keys = { type: 'sha1', keys: [{ id: 1, key: 'key' }] };
    const bodies = [shared({ auth: 'group' }), { ...shared({ auth: keys }), dst: '127.0.9.98/32' }];
    expect((await agent.post('/routes', bodies)).status).toBe(200);
    await reload(agent, bfdWith({ group: 2 }));
    expect(await keyIds(agent)).toEqual([2]);
  });

  it('and keeps what it has where two routes of one session name groups that no longer agree', async () => {
    const agent = await TestAgent.start(bfdWith({ one: 1, two: 1 }));
    const bodies = [shared({ auth: 'one' }), { ...shared({ auth: 'two' }), dst: '127.0.9.98/32' }];
    expect((await agent.post('/routes', bodies)).status).toBe(200);
    agent.rewrite(bfdWith({ one: 2, two: 1 }));
    await agent.agent.reload();
    expect(lastLine(agent)).toMatch(/^reloaded: /);
    expect(await keyIds(agent)).toEqual([1]);
    const said = agent.lines.find(({ msg }) => String(msg).includes('keep the keys that they had'));
    expect(String(said?.['msg'])).toContain('127.0.9.1');
  });
});

describe('a session that becomes multihop, or single-hop again,', () => {
  const file = (multihop: string, registrations: string): string => {
    return fileWith(`    protocol: bfd\n    multihopPort: 0\n${registrations.replaceAll('MULTIHOP', multihop)}`);
  };
  it.each([
    ['with routes', `    routes:\n${routeLine(1, 'MULTIHOP')}`],
    ['by itself', '    sessions:\n      - { iface: lo, localIP: 127.0.0.1, peerIP: 127.0.9.1MULTIHOP }'],
    [
      'whose peer watches a backup, too,',
      `    routes:\n${routeLine(1, 'MULTIHOP')}\n${routeLine(2, ', backup: { nextHop: 127.0.8.1, iface: lo, peerIP: 127.0.9.1 }')}`,
    ],
  ])('%s takes the routes of the API along', async (_, registrations) => {
    const agent = await TestAgent.start(file('', registrations));
    expect((await agent.post('/routes', shared())).status).toBe(200);
    const before = await destinations(agent);
    const isMultihop = async (): Promise<boolean[]> => {
      return (await sessionsOf(agent)).flatMap(({ peer_ip, multihop }) => (peer_ip === '127.0.9.1' ? [multihop] : []));
    };
    for (const [text, value] of [
      [', multihop: true', true],
      ['', false],
    ] as const) {
      await reload(agent, file(text, registrations));
      expect(await isMultihop()).toEqual([value]);
      expect(await destinations(agent)).toEqual(before);
    }
  });
});

it('a file has a multihop session by itself, whose peer watches the backup of a route', async () => {
  const routes = `    routes:\n${routeLine(2, ', backup: { nextHop: 127.0.8.1, iface: lo, peerIP: 127.0.9.1 }')}`;
  const sessions = '    sessions:\n      - { iface: lo, localIP: 127.0.0.1, peerIP: 127.0.9.1, multihop: true }';
  const agent = await TestAgent.start(fileWith(`    protocol: bfd\n    multihopPort: 0\n${routes}\n${sessions}`));
  expect((await sessionsOf(agent)).map(({ peer_ip, multihop }) => [peer_ip, multihop]).sort()).toEqual([
    ['127.0.9.1', true],
    ['127.0.9.2', false],
  ]);
});

it('a reload that changes a session by itself leaves it in service, also where its routes are out of it', async () => {
  const { manager, engine } = await startFake({ bindIP: '127.0.0.1' });
  vi.spyOn(Manager, 'start').mockResolvedValue(manager);
  const setAdminDown = vi.spyOn(engine, 'setAdminDown');
  const agent = await TestAgent.start(withSession(1));
  await agent.post('/routes', shared());
  expect((await agent.post('/admin-down', shared())).status).toBe(200);
  await reload(agent, withSession(1, ', timers: slow'));
  expect(setAdminDown.mock.calls).toEqual([]);
});

describe('during a reload', () => {
  /** Begins a reload, and stops it before it registers the routes. */
  async function heldReload(agent: TestAgent, file: string): Promise<() => Promise<void>> {
    let open: () => void = () => undefined;
    const opened = new Promise<void>((resolve) => (open = resolve));
    // eslint-disable-next-line @typescript-eslint/unbound-method -- it is called with the manager below
    const { registerTogether } = Manager.prototype;
    const spy = vi.spyOn(Manager.prototype, 'registerTogether').mockImplementationOnce(async function (this: Manager, ...registered) {
      await opened;
      return registerTogether.apply(this, registered);
    });
    agent.rewrite(file);
    const reloaded = agent.agent.reload();
    await expect.poll(() => spy.mock.calls.length).toBe(1);
    return () => {
      open();
      return reloaded;
    };
  }

  it('a request waits, and its route gets the options of the new file', async () => {
    const agent = await TestAgent.start(withRoutes(routeLine(1)));
    const finish = await heldReload(agent, withRoutes(routeLine(1, ', timers: slow')));
    const answer = agent.post('/routes', shared());
    expect((await agent.ask('/healthz')).status).toBe(200);
    await finish();
    expect((await answer).status).toBe(200);
    expect(lastLine(agent)).toMatch(/^reloaded: /);
    expect(await detectTimes(agent)).toEqual([1_500]);
  });

  it('a request to delete waits, and its route does not come back', async () => {
    const agent = await TestAgent.start(withRoutes(routeLine(1)));
    await agent.post('/routes', shared());
    const finish = await heldReload(agent, withRoutes(routeLine(1, ', timers: slow')));
    const answer = agent.post('/routes', shared(), 'DELETE');
    expect((await agent.ask('/healthz')).status).toBe(200);
    await finish();
    expect((await answer).status).toBe(200);
    expect(await destinations(agent)).toEqual([['127.0.9.1/32', 'config']]);
  });
});

describe('a reload that cannot be done leaves a route of the API', () => {
  it('the options that an earlier reload has given its session', async () => {
    const agent = await TestAgent.start(twoManagers([routeLine(1)]));
    await postShared(agent);
    await reload(agent, twoManagers([routeLine(1, ', timers: slow')]));
    await refuse(agent, twoManagers([routeLine(99, ', peerIP: 127.0.9.1')], [routeLine(4)]));
    expect(await detectTimes(agent)).toEqual([1_500, 300]);
    expect(await destinations(agent)).toContainEqual(['127.0.9.99/32', 'api']);
  });

  it('its own options, where the file would have given its session others', async () => {
    const agent = await TestAgent.start(twoManagers([routeLine(2)]));
    await postShared(agent, { tx_min_ms: 200, rx_min_ms: 200 });
    await refuse(agent, twoManagers([routeLine(1, ', timers: slow')], [routeLine(4)]));
    expect(await detectTimes(agent)).toEqual([300, 600, 300]);
  });

  it('in the slot that the file would have taken', async () => {
    const agent = await TestAgent.start(twoManagers([routeLine(2)]));
    await postShared(agent);
    await refuse(agent, twoManagers([routeLine(2), routeLine(99, ', peerIP: 127.0.9.2')], [routeLine(4)]));
    const { routes } = (await agent.ask('/routes?manager=main')).json as RoutesAnswer;
    expect(routes.map(({ dst, peer_ip, origin }) => [dst, peer_ip, origin])).toEqual([
      ['127.0.9.2/32', '127.0.9.2', 'config'],
      ['127.0.9.99/32', '127.0.9.1', 'api'],
    ]);
  });
});

/** A second manager, whose routes are registered after those of the first. */
function twoManagers(first: readonly string[], second: readonly string[] = []): string {
  const routes = second.map((line) => line.replace(/^\s*-/, '')).join(', ');
  return fileWith(
    `    routes:\n${first.join('\n')}`,
    `  - { name: other, bindIP: 127.0.0.1, port: 0, backend: memory, routes: [${routes}] }\n`,
  );
}

/** Registers the shared route, and one of the other manager in the slot of the route with the number 4, which no file can take. */
async function postShared(agent: TestAgent, fields: Record<string, unknown> = {}): Promise<void> {
  expect((await agent.post('/routes', shared({ manager: 'main', ...fields }))).status).toBe(200);
  expect((await agent.post('/routes', routeBody(4, { manager: 'other', route_protocol: 187 }))).status).toBe(200);
}
