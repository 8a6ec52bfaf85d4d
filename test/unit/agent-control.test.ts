/** The control API of an agent, on its socket and on a TCP address. */
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { createServer, connect } from 'node:net';
import { request } from 'node:http';
import { join } from 'node:path';

import { afterAll, describe, expect, it } from 'vitest';

import type { HealthAnswer, RoutesAnswer, SessionsAnswer } from '../../ts/agent/control-api.js';
import { ask, type AskOptions, fileWith, type Reply, routeBody, routeLine, TestAgent } from './agent-helpers.js';
import { describedAnswers, OpenApi } from './open-api.js';

const api = new OpenApi();

/** A request whose answer is held to the description of the API. */
async function described(agent: TestAgent, method: string, path: string, body?: unknown): Promise<Reply> {
  const reply = method === 'GET' ? await agent.ask(path) : await agent.post(path, body, method);
  expect(api.faults(method, path.split('?')[0] ?? '', reply, body)).toEqual([]);
  return reply;
}

const withRoutes = (...numbers: number[]): string => fileWith(`    routes:\n${numbers.map((number) => routeLine(number)).join('\n')}`);

const TWO_MANAGERS = `
control: { socket: FOLDER/control.sock }
timers: { default: { txMin: 100, rxMin: 100, detectMult: 3 } }
managers:
  - { name: one, bindIP: 127.0.0.1, port: 0, backend: memory, routes: [{ iface: lo, dst: 127.0.9.1/32, nextHop: 127.0.9.1, src: 127.0.0.1 }] }
  - name: two
    protocol: bfd
    bindIP: 127.0.0.1
    port: 0
    multihopPort: 0
    backend: memory
    sessions: [{ iface: lo, localIP: 127.0.0.1, peerIP: 127.0.9.2 }]
`;

describe('the control API', () => {
  it('lists sessions and routes as its description says', async () => {
    const agent = await TestAgent.start(TWO_MANAGERS);
    const { sessions } = (await described(agent, 'GET', '/sessions')).json as SessionsAnswer;
    expect(sessions.map(({ manager, protocol, peer_ip }) => [manager, protocol, peer_ip])).toEqual([
      ['one', 'liveness', '127.0.9.1'],
      ['two', 'bfd', '127.0.9.2'],
    ]);
    const { routes } = (await described(agent, 'GET', '/routes')).json as RoutesAnswer;
    expect(routes).toMatchObject([
      { dst: '127.0.9.1/32', rt_status: 'absent', liveness_status: 'down', origin: 'config', route_protocol: 186 },
    ]);
  });

  it.each([
    ['state=down', 2],
    ['state=up', 0],
    ['state=up&state=down', 2],
    ['peer=127.0.9.2', 1],
    ['prefix=127.0.9.0/24', 1],
    ['prefix=10.0.0.0/8', 0],
    ['manager=two', 1],
    ['manager=two&peer=127.0.9.1', 0],
  ])('lists %s alone where that is asked for', async (query, count) => {
    const agent = await TestAgent.start(TWO_MANAGERS);
    expect(((await described(agent, 'GET', `/sessions?${query}`)).json as SessionsAnswer).sessions).toHaveLength(count);
  });

  it.each([
    ['stat=up', 400, 'Unknown filter `stat` (did you mean `state`?)'],
    ['state=upp', 400, 'Expected `state` to be one of admin_down, down, init, up'],
    ['peer=nobody', 400, 'Expected `peer` to be an IPv4 or IPv6 address'],
    ['prefix=127.0.9.1/24', 400, 'Expected `prefix` to be a prefix'],
    ['manager=onne', 404, 'There is no manager `onne` (did you mean `one`?)'],
  ])('refuses the filter %s with %i', async (query, status, message) => {
    const agent = await TestAgent.start(TWO_MANAGERS);
    for (const path of ['/sessions', '/routes']) {
      const reply = await described(agent, 'GET', `${path}?${query}`);
      expect(reply.status).toBe(status);
      expect((reply.json as { message: string }).message).toContain(message);
    }
  });

  it('registers routes that end with the agent, changes them in place, and withdraws them', async () => {
    const agent = await TestAgent.start(withRoutes(1));
    expect((await described(agent, 'POST', '/routes', [routeBody(2), routeBody(3)])).json).toEqual({ routes: 2 });
    expect((await described(agent, 'POST', '/routes', routeBody(3, { tx_min_ms: 500, rx_min_ms: 500 }))).status).toBe(200);
    const { routes } = (await agent.ask('/routes')).json as RoutesAnswer;
    expect(routes.map(({ dst, origin }) => [dst, origin])).toEqual([
      ['127.0.9.1/32', 'config'],
      ['127.0.9.2/32', 'api'],
      ['127.0.9.3/32', 'api'],
    ]);
    expect((await described(agent, 'DELETE', '/routes', [routeBody(2), routeBody(3)])).status).toBe(200);
    expect(((await agent.ask('/routes')).json as RoutesAnswer).routes).toHaveLength(1);
    // Nothing to withdraw is no fault; by another next hop a route is none that is registered.
    await agent.post('/routes', routeBody(4));
    expect((await described(agent, 'DELETE', '/routes', routeBody(4, { next_hop: '127.0.9.9' }))).status).toBe(200);
    expect((await described(agent, 'POST', '/admin-down', [routeBody(1), routeBody(4, { next_hop: '127.0.9.9' })])).status).toBe(404);
    expect(((await agent.ask('/routes')).json as RoutesAnswer).routes.map(({ origin, admin_down }) => [origin, admin_down])).toEqual([
      ['config', false],
      ['api', false],
    ]);
    expect((await described(agent, 'DELETE', '/routes', routeBody(2))).status).toBe(200);
  });

  it('registers all routes of a request or none', async () => {
    const agent = await TestAgent.start(withRoutes(1));
    const bad = { ...routeBody(3), src: '192.0.2.9' };
    const reply = await described(agent, 'POST', '/routes', [routeBody(2), bad]);
    expect(reply.status).toBe(400);
    expect(reply.json).toMatchObject({ code: 'EADDRNOTAVAIL', issues: [{ path: '1' }] });
    expect(((await agent.ask('/routes')).json as RoutesAnswer).routes).toHaveLength(1);
  });

  it.each([
    [{ iface: 'lo', dst: '127.0.9.2/32', src: '127.0.0.1' }, 400, 'ERR_BAD_REQUEST', '0.next_hop'],
    [[routeBody(2), { ...routeBody(3), tabel: 5 }], 400, 'ERR_BAD_REQUEST', '1.tabel'],
    [routeBody(2, { tx_min_ms: 5 }), 400, 'ERR_CONFIG', '0.tx_min_ms'],
    [routeBody(2, { backup: { iface: 'lo' } }), 400, 'ERR_BAD_REQUEST', '0.backup.next_hop'],
    [routeBody(2, { backup: { iface: 'lo', next_hop: '127.0.8.2', peer: '127.0.8.2' } }), 400, 'ERR_BAD_REQUEST', '0.backup.peer'],
    [routeBody(2, { backup: { iface: 'lo', next_hop: '127.0.9.2' } }), 400, 'ERR_CONFIG', '0.backup.next_hop'],
    [routeBody(2, { backup: { iface: 'lo', next_hop: '127.0.8.2', peer_ip: '::1' } }), 400, 'ERR_CONFIG', '0.backup.peer_ip'],
    [[routeBody(2), routeBody(3, { hold_up_ms: -1 })], 400, 'ERR_BAD_REQUEST', '1.hold_up_ms'],
    [routeBody(2, { damping: 'on' }), 400, 'ERR_BAD_REQUEST', '0.damping'],
    [routeBody(2, { damping: { half_life: 5 } }), 400, 'ERR_BAD_REQUEST', '0.damping.half_life'],
    [routeBody(2, { damping: { suppress_above: 10, reuse_below: 20 } }), 400, 'ERR_CONFIG', '0.damping.suppress_above'],
    [routeBody(2, { auth: { type: 'sha1', keys: [{ id: 1, key: 'k' }] } }), 400, 'ERR_CONFIG', '0.auth'],
    [routeBody(2, { manager: 'nobody' }), 404, 'ERR_NO_SUCH_MANAGER', undefined],
    [[], 400, 'ERR_BAD_REQUEST', ''],
    ['text', 400, 'ERR_BAD_REQUEST', '0'],
    [null, 400, 'ERR_BAD_REQUEST', '0'],
    [routeBody(1), 409, 'ERR_ROUTE_CONFLICT', '0'],
  ])('refuses the routes %j with %i', async (body, status, code, path) => {
    const agent = await TestAgent.start(withRoutes(1));
    const reply = await described(agent, 'POST', '/routes', body);
    expect(reply.status).toBe(status);
    expect(reply.json).toMatchObject({ code, ...(path === undefined ? {} : { issues: [{ path }] }) });
  });

  it('names the fields of a request, not those of the API of Node, in what it says of them', async () => {
    const agent = await TestAgent.start(withRoutes(1));
    const damping = { suppress_above: 10, reuse_below: 20 };
    const reply = await agent.post('/routes', routeBody(2, { damping, tx_min_ms: 5 }));
    const { message } = reply.json as { message: string };
    expect(message).toContain('Expected `damping.suppress_above` to be above `damping.reuse_below` (20), got 10');
    expect(message).toContain('`tx_min_ms`');
  });

  it('registers a route with a backup, on which it runs while its session is not Up', async () => {
    const agent = await TestAgent.start(withRoutes(1));
    const backup = { next_hop: '127.0.8.2', iface: 'lo' };
    expect((await described(agent, 'POST', '/routes', routeBody(2, { backup }))).status).toBe(200);
    const leg = async (): Promise<string | undefined> => {
      const { routes } = (await agent.ask('/routes')).json as RoutesAnswer;
      return routes.find(({ dst }) => dst === '127.0.9.2/32')?.leg;
    };
    await expect.poll(leg, { timeout: 10_000 }).toBe('backup');
    expect((await described(agent, 'DELETE', '/routes', routeBody(2, { backup }))).status).toBe(200);
    expect(await leg()).toBeUndefined();
  });

  it('gives a session the options of a request, and refuses others for another route of it', async () => {
    const agent = await TestAgent.start(withRoutes(1));
    const options = { hold_up_ms: 500, damping: { half_life_ms: 6_000, max_suppress_ms: 30_000 } };
    expect((await described(agent, 'POST', '/routes', routeBody(2, options))).status).toBe(200);
    const shared = { ...routeBody(2, options), dst: '127.0.9.99/32', peer_ip: '127.0.9.2' };
    expect((await described(agent, 'POST', '/routes', shared)).status).toBe(200);
    const other = await described(agent, 'POST', '/routes', { ...shared, dst: '127.0.9.98/32', damping: true });
    expect(other.json).toMatchObject({ code: 'ERR_CONFIG', issues: [{ path: '0' }] });
  });

  describe('with keys', () => {
    const SECRET = 'never-to-be-seen';
    const KEYS = { type: 'sha1', keys: [{ id: 7, key: SECRET }] };
    const start = async (): Promise<TestAgent> => {
      process.env['AGENT_TEST_KEY'] = SECRET;
      return TestAgent.start(`auth: { group: { type: sha1, keys: [{ id: 8, env: AGENT_TEST_KEY }] } }${TWO_MANAGERS}`);
    };
    const keyIds = async (agent: TestAgent): Promise<(number | null)[]> => {
      const { sessions } = (await agent.ask('/sessions?manager=two')).json as SessionsAnswer;
      return sessions.map(({ auth_key_id }) => auth_key_id).sort();
    };

    it('registers routes of BFD with those of a group of the file, and with its own, and shows none', async () => {
      const agent = await start();
      const routes = [routeBody(5, { manager: 'two', auth: 'group' }), routeBody(6, { manager: 'two', auth: KEYS })];
      const reply = await described(agent, 'POST', '/routes', routes);
      expect([reply.status, await keyIds(agent)]).toEqual([200, [7, 8, null]]);
      const shown = [reply.text, (await agent.ask('/sessions')).text, (await agent.ask('/routes')).text, JSON.stringify(agent.lines)];
      expect(shown.join('\n')).not.toContain(SECRET);
      expect((await described(agent, 'DELETE', '/routes', routes)).status).toBe(200);
      expect(await keyIds(agent)).toEqual([null]);
    });

    it.each([
      ['a group that is not there', SECRET, 'ERR_CONFIG', '0.auth'],
      ['a key that is too long', { ...KEYS, keys: [{ id: 1, key: SECRET.repeat(2) }] }, 'ERR_BAD_REQUEST', '0.auth.keys.0.key'],
      ['a key in the place of its number', { ...KEYS, keys: [{ id: SECRET, key: 'k' }] }, 'ERR_BAD_REQUEST', '0.auth.keys.0.id'],
      ['a type that is none', { ...KEYS, type: SECRET }, 'ERR_BAD_REQUEST', '0.auth.type'],
      ['a list', [SECRET], 'ERR_BAD_REQUEST', '0.auth'],
    ])('refuses %s without showing it', async (_, auth, code, path) => {
      const agent = await start();
      const reply = await described(agent, 'POST', '/routes', routeBody(5, { manager: 'two', auth }));
      expect(reply.json).toMatchObject({ code, issues: [{ path }] });
      expect([reply.text, JSON.stringify(agent.lines)].join('\n')).not.toContain(SECRET);
    });
  });

  it('gives a route of a shared session the options of the file', async () => {
    const agent = await TestAgent.start(fileWith(`    routes:\n${routeLine(1, ', timers: slow')}`));
    const body = { ...routeBody(1), dst: '127.0.9.99/32', peer_ip: '127.0.9.1' };
    expect((await described(agent, 'POST', '/routes', body)).status).toBe(200);
    const { sessions } = (await agent.ask('/sessions')).json as SessionsAnswer;
    expect(sessions.map(({ routes }) => routes)).toEqual([['127.0.9.1/32', '127.0.9.99/32']]);
  });

  it('asks for the manager where there are several, and for one of them in a request', async () => {
    const agent = await TestAgent.start(TWO_MANAGERS);
    expect((await described(agent, 'POST', '/routes', routeBody(5))).json).toMatchObject({
      message: 'Expected `manager` to be one of one, two, got nothing',
    });
    const both = [routeBody(5, { manager: 'one' }), routeBody(6, { manager: 'two' })];
    expect((await described(agent, 'POST', '/routes', both)).status).toBe(400);
    expect((await described(agent, 'POST', '/routes', routeBody(5, { manager: 'two' }))).status).toBe(200);
  });

  it('does not withdraw a route of the file', async () => {
    const agent = await TestAgent.start(withRoutes(1));
    const reply = await described(agent, 'DELETE', '/routes', routeBody(1));
    expect(reply.status).toBe(409);
    expect((reply.json as { message: string }).message).toContain('remove it there and reload');
  });

  it('takes routes out of service and puts them back', async () => {
    const agent = await TestAgent.start(withRoutes(1, 2));
    const stateOf = async (): Promise<boolean | undefined> => ((await agent.ask('/routes')).json as RoutesAnswer).routes[0]?.admin_down;
    expect((await described(agent, 'POST', '/admin-down', routeBody(1))).json).toEqual({ routes: 1 });
    expect(await stateOf()).toBe(true);
    expect((await described(agent, 'POST', '/admin-up', routeBody(1))).json).toEqual({ routes: 1 });
    expect(await stateOf()).toBe(false);
    const unknown = await described(agent, 'POST', '/admin-down', [routeBody(2), routeBody(3)]);
    expect(unknown).toMatchObject({ status: 404, json: { code: 'ERR_INVALID_ROUTE', issues: [{ path: '1' }] } });
    expect((await described(agent, 'POST', '/admin-up', {})).status).toBe(400);
    expect((await described(agent, 'POST', '/admin-up', routeBody(3))).status).toBe(404);
    expect((await described(agent, 'POST', '/admin-down', [{}])).status).toBe(400);
  });

  it('holds and releases, of a manager or of a peer, and shows it in sessions, routes, health and events', async () => {
    const agent = await TestAgent.start(TWO_MANAGERS);
    expect((await described(agent, 'POST', '/hold', { peer_ip: '127.0.9.1', seconds: 60, reason: 'new fibre' })).json).toEqual({
      managers: ['one'],
    });
    const { sessions } = (await agent.ask('/sessions')).json as SessionsAnswer;
    expect(sessions.map(({ held_until }) => held_until !== null)).toEqual([true, false]);
    expect((await described(agent, 'POST', '/release', { peer_ip: '127.0.9.1' })).status).toBe(200);
    expect((await described(agent, 'POST', '/hold', { seconds: 60 })).json).toEqual({ managers: ['one', 'two'] });
    const health = (await described(agent, 'GET', '/healthz')).json as HealthAnswer;
    expect(health.managers.map(({ held_until }) => held_until !== null)).toEqual([true, true]);
    expect((await described(agent, 'POST', '/release', {})).status).toBe(200);
    const holds = (await eventsOf(agent)).filter(({ type }) => type === 'hold' || type === 'release');
    expect(holds.map(({ type, manager, peer_ip, note }) => [type, manager, peer_ip, note])).toEqual([
      ['hold', 'one', '127.0.9.1', 'new fibre'],
      ['release', 'one', '127.0.9.1', 'new fibre'],
      ['hold', 'one', null, null],
      ['hold', 'two', null, null],
      ['release', 'one', null, null],
      ['release', 'two', null, null],
    ]);
  });

  it.each([
    ['/hold', { seconds: 0 }, 400],
    ['/hold', { seconds: 86_401 }, 400],
    ['/hold', { seconds: 60, peer_ip: '127.0.9.77' }, 404],
    ['/hold', { seconds: 60, manager: 'nobody' }, 404],
    ['/release', { peer: 1 }, 400],
    ['/release', { peer_ip: '127.0.9.77' }, 404],
  ])('refuses %s with %j', async (path, body, status) => {
    const agent = await TestAgent.start(TWO_MANAGERS);
    expect((await described(agent, 'POST', path, body)).status).toBe(status);
  });

  it('tells whether it is well and ready, and the metrics', async () => {
    const agent = await TestAgent.start(withRoutes(1));
    expect((await described(agent, 'GET', '/healthz')).json).toMatchObject({
      ok: true,
      managers: [{ name: 'main', ok: true, sessions: { down: 1 }, routes: { registered: 1 } }],
    });
    expect((await described(agent, 'GET', '/readyz')).json).toEqual({ ok: true, error: null });
    const metrics = await described(agent, 'GET', '/metrics');
    expect(metrics.text).toContain('liveness_sessions{iface="lo",local_ip="127.0.0.1",state="down"} 1');
    expect((await described(agent, 'GET', '/openapi.yaml')).status).toBe(200);
  });

  it('has a page that a browser lets use nothing but its own script and style', async () => {
    const agent = await TestAgent.start(withRoutes(1));
    const { headers } = await described(agent, 'GET', '/');
    const hash = (text: string): string => `'sha256-${createHash('sha256').update(text).digest('base64')}'`;
    expect(headers['content-security-policy']).toBe(
      [
        `default-src 'none'; script-src ${hash('1')}; style-src ${hash('a{}')}; connect-src 'self'; img-src data:`,
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
      ].join('; '),
    );
    expect(headers).toMatchObject({ 'x-content-type-options': 'nosniff', 'referrer-policy': 'no-referrer', 'cache-control': 'no-store' });
  });
});

describe('a request that is not understood', () => {
  it.each([
    ['an unknown path', '/nowhere', {}, 404, 'ERR_NOT_FOUND'],
    ['a name of Object.prototype', '/constructor', {}, 404, 'ERR_NOT_FOUND'],
    ['a wrong method', '/sessions', { method: 'PUT' }, 405, 'ERR_METHOD_NOT_ALLOWED'],
    ['a body without a type', '/routes', { method: 'POST', body: '{}' }, 415, 'ERR_UNSUPPORTED_MEDIA_TYPE'],
    [
      'a form',
      '/hold',
      { method: 'POST', body: 'a=b', headers: { 'Content-Type': 'application/x-www-form-urlencoded' } },
      415,
      'ERR_UNSUPPORTED_MEDIA_TYPE',
    ],
    [
      'a body that is no JSON',
      '/hold',
      { method: 'POST', body: '{', headers: { 'Content-Type': 'application/json' } },
      400,
      'ERR_BAD_REQUEST',
    ],
    [
      'a body that is no text',
      '/hold',
      { method: 'POST', body: Buffer.from([0xff]), headers: { 'Content-Type': 'application/json' } },
      400,
      'ERR_BAD_REQUEST',
    ],
    ['an event that has no number', '/events?after=x', {}, 400, 'ERR_BAD_REQUEST'],
  ] as [string, string, AskOptions, number, string][])(
    '%s is answered with a code and the status that it has in HTTP',
    async (_, path, options, status, code) => {
      const agent = await TestAgent.start(withRoutes(1));
      const reply = await agent.ask(path, options);
      expect(reply).toMatchObject({ status, json: { code } });
      if (status === 405) expect(reply.headers.allow).toBe('GET, HEAD');
      else if (status !== 404) expect(api.faults(options.method ?? 'GET', path.split('?')[0] ?? '', reply)).toEqual([]);
    },
  );

  it('with a body of more than 1 MiB is refused with 413, whether or not it says so first', async () => {
    const agent = await TestAgent.start(withRoutes(1));
    const body = Buffer.alloc(1024 * 1024 + 1, 0x20);
    for (const path of ['/routes', '/hold', '/release', '/admin-up', '/admin-down']) {
      const reply = await agent.ask(path, {
        method: 'POST',
        body,
        headers: { 'Content-Type': 'application/json', 'Content-Length': `${body.length}` },
      });
      expect(reply.status).toBe(413);
      expect(api.faults('POST', path, reply)).toEqual([]);
    }
    const chunked = await agent.ask('/routes', {
      method: 'DELETE',
      body,
      headers: { 'Content-Type': 'application/json', 'Transfer-Encoding': 'chunked' },
    });
    expect(chunked).toMatchObject({ status: 413, json: { code: 'ERR_BODY_TOO_LARGE' } });
    expect((await agent.ask('/healthz')).status).toBe(200);
  });

  it('that is no HTTP is answered with 400, and the next connection is served', async () => {
    const agent = await TestAgent.start(withRoutes(1));
    expect(await raw(agent.socket, 'what is this?\r\n\r\n')).toMatch(/^HTTP\/1\.1 400 Bad Request\r\n[^]*"code":"ERR_BAD_REQUEST"/);
    expect(await raw(agent.socket, `GET / HTTP/1.1\r\nHost: x\r\nX: ${'x'.repeat(20_000)}\r\n\r\n`)).toMatch(
      /^HTTP\/1\.1 431 .*[^]*ERR_HEADERS_TOO_LARGE/,
    );
    expect((await agent.ask('/healthz')).status).toBe(200);
  });
});

it('HEAD is answered as GET, without the body', async () => {
  const agent = await TestAgent.start(withRoutes(1));
  for (const path of ['/sessions', '/events', '/metrics', '/nowhere']) {
    const { status, text } = await agent.ask(path, { method: 'HEAD' });
    expect([status, text]).toEqual([path === '/nowhere' ? 404 : 200, '']);
  }
});

describe('the events', () => {
  it('are described, and begin behind the one that a reader names', async () => {
    const agent = await TestAgent.start(withRoutes(1));
    await agent.post('/routes', routeBody(2));
    // Those of the sessions, which come when they come.
    await expect.poll(async () => (await eventsOf(agent)).length).toBe(2);
    await agent.agent.reload();
    const events = await eventsOf(agent);
    expect(events.map(({ type }) => type)).toEqual(['transition', 'transition', 'reload']);
    expect(events.flatMap((event) => api.faultsOfEvent(withoutId(event)))).toEqual([]);
    const [first, second, third] = events.map(({ id }) => id);
    expect([second, third]).toEqual([(first ?? 0) + 1, (first ?? 0) + 2]);
    expect((await eventsOf(agent, { headers: { 'Last-Event-ID': `${second}` } })).map(({ id }) => id)).toEqual([third]);
  });

  it('that are no longer there are a gap', async () => {
    const agent = await TestAgent.start(withRoutes(1).replace('control.sock', 'control.sock, events: 2'));
    // That of the session, which comes when it comes.
    await expect.poll(async () => (await eventsOf(agent)).length).toBe(1);
    for (let count = 0; count < 5; count += 1) await agent.agent.reload();
    const events = await eventsOf(agent, { count: 3 });
    expect(events.map(({ type }) => type)).toEqual(['gap', 'reload', 'reload']);
    expect(api.faultsOfEvent(withoutId(events[0]))).toEqual([]);
    const [gap, next] = events;
    expect(gap).toMatchObject({ before: next?.id, id: (next?.id ?? 0) - 1 });
  });

  it('of another agent are a gap, for a reader that resumes', async () => {
    const agent = await TestAgent.start(withRoutes(1));
    const [gap, first] = await eventsOf(agent, { headers: { 'Last-Event-ID': '12' }, count: 2 });
    expect([gap?.type, gap?.after, first?.type]).toEqual(['gap', 12, 'transition']);
  });

  it('wait for a reader that does not read, and what it missed is a gap', async () => {
    const agent = await TestAgent.start(withRoutes(1).replace('control.sock', 'control.sock, events: 100'));
    const slow = connect(agent.socket);
    slow.pause();
    slow.write('GET /events?after=0 HTTP/1.1\r\nHost: x\r\n\r\n');
    // A long note makes events large, so that few of them fill a socket.
    for (let count = 0; count < 600; count += 1) await agent.post('/hold', { seconds: 60, reason: 'x'.repeat(900) });
    let text = '';
    slow.on('data', (chunk) => (text += chunk.toString()));
    slow.resume();
    const last = (await eventsOf(agent)).at(-1);
    await expect.poll(() => text, { timeout: 10_000 }).toContain(`id: ${last?.id}\n`);
    expect(text).toContain('event: gap\n');
    slow.destroy();
  });

  it('have 100 readers at most', async () => {
    const agent = await TestAgent.start(withRoutes(1));
    const readers = Array.from({ length: 100 }, () => connect(agent.socket));
    for (const reader of readers) reader.write('GET /events HTTP/1.1\r\nHost: x\r\n\r\n');
    await Promise.all(readers.map((reader) => new Promise((resolve) => reader.once('data', resolve))));
    const reply = await agent.ask('/events');
    expect(reply).toMatchObject({ status: 503, json: { code: 'ERR_BUSY' } });
    expect(api.faults('GET', '/events', reply)).toEqual([]);
    for (const reader of readers) reader.destroy();
    await expect.poll(async () => (await agent.ask('/events?after=x')).status).toBe(400);
    await expect.poll(async () => (await eventsOf(agent)).length).toBe(1);
  });
});

describe('a TCP address', () => {
  const FILE = withRoutes(1).replace('control.sock', "control.sock, listen: '127.0.0.1:0'") + "\nmetrics: { listen: '127.0.0.1:0' }";

  async function start(): Promise<{ agent: TestAgent; control: { host: string; port: number }; metrics: { host: string; port: number } }> {
    const agent = await TestAgent.start(FILE);
    const [control, metrics] = agent.agent.addresses.map((address) => ({ host: '127.0.0.1', port: Number(address.split(':')[1]) }));
    if (control === undefined || metrics === undefined) throw new Error('the agent does not listen');
    return { agent, control, metrics };
  }

  it('of the control API refuses a name that is not this host’s, as a web page would use it', async () => {
    const { control } = await start();
    for (const path of ['/', '/openapi.yaml', '/sessions', '/routes', '/events', '/metrics', '/healthz', '/readyz']) {
      const reply = await ask(control, path, { headers: { Host: `evil.example:${control.port}` } });
      expect(reply).toMatchObject({ status: 403, json: { code: 'ERR_FORBIDDEN' } });
      expect(api.faults('GET', path, reply)).toEqual([]);
    }
    for (const host of [`localhost:${control.port}`, `127.0.0.1:${control.port}`, '[::1]']) {
      expect((await ask(control, '/healthz', { headers: { Host: host } })).status).toBe(200);
    }
  });

  it('of the control API takes no change from a page of another origin', async () => {
    const { control } = await start();
    const body = JSON.stringify({ seconds: 60 });
    const type = { 'Content-Type': 'application/json' };
    for (const headers of [
      { Origin: 'http://evil.example' },
      { Origin: 'null' },
      { 'Sec-Fetch-Site': 'cross-site' },
      { 'Sec-Fetch-Site': 'same-site' },
    ]) {
      for (const path of ['/hold', '/release', '/routes', '/admin-down', '/admin-up']) {
        const reply = await ask(control, path, { method: 'POST', body, headers: { ...type, ...headers } });
        expect(reply).toMatchObject({ status: 403, json: { code: 'ERR_FORBIDDEN' } });
        expect(api.faults('POST', path, reply)).toEqual([]);
      }
    }
    const removal = await ask(control, '/routes', { method: 'DELETE', body, headers: { ...type, Origin: 'null' } });
    expect(removal.status).toBe(403);
    expect(api.faults('DELETE', '/routes', removal)).toEqual([]);
    const own = { Origin: `http://127.0.0.1:${control.port}`, 'Sec-Fetch-Site': 'same-origin' };
    expect((await ask(control, '/hold', { method: 'POST', body, headers: { ...type, ...own } })).status).toBe(200);
  });

  it('of the metrics has nothing that lists or changes', async () => {
    const { metrics } = await start();
    for (const path of ['/metrics', '/healthz', '/readyz']) expect((await ask(metrics, path)).status).toBe(200);
    for (const path of ['/', '/sessions', '/routes', '/events', '/hold']) expect((await ask(metrics, path)).status).toBe(404);
  });

  it('that is taken keeps the agent from starting, and its socket is gone again', async () => {
    const holder = createServer().listen(0, '127.0.0.1');
    await new Promise((resolve) => holder.once('listening', resolve));
    const { port } = holder.address() as { port: number };
    const file = withRoutes(1).replace('control.sock', `control.sock, listen: '127.0.0.1:${port}'`);
    await expect(TestAgent.start(file)).rejects.toMatchObject({
      code: 'EADDRINUSE',
      message: expect.stringContaining(`127.0.0.1:${port}`) as string,
    });
    holder.close();
  });
});

describe('the control socket', () => {
  it('has its permissions, and is gone with the agent', async () => {
    const agent = await TestAgent.start(withRoutes(1).replace('control.sock', "control.sock, mode: '0600'"));
    expect(statSync(agent.socket).mode & 0o777).toBe(0o600);
    await agent.agent.close();
    expect(existsSync(agent.socket)).toBe(false);
  });

  it('of an agent that lives keeps another one from starting, which says so and touches nothing', async () => {
    const agent = await TestAgent.start(withRoutes(1));
    await expect(TestAgent.start(withRoutes(2).replace('FOLDER', agent.folder))).rejects.toMatchObject({
      code: 'ERR_CONTROL_SOCKET',
      message: `The control socket ${agent.socket} cannot be used: another agent listens there; stop it, or set another \`control.socket\``,
    });
    expect((await agent.ask('/healthz')).status).toBe(200);
  });

  it('that a dead agent has left is replaced', async () => {
    const folder = (await TestAgent.start(withRoutes(1))).folder;
    const path = join(folder, 'left.sock');
    const script = `require('net').createServer().listen(${JSON.stringify(path)}, () => process.kill(process.pid, 'SIGKILL'))`;
    spawnSync(process.execPath, ['-e', script]);
    expect(statSync(path).isSocket()).toBe(true);
    await TestAgent.start(withRoutes(2).replace('FOLDER/control.sock', path));
    expect((await ask({ socketPath: path }, '/healthz')).status).toBe(200);
  });

  it('is not put in the place of a file', async () => {
    const folder = (await TestAgent.start(withRoutes(1))).folder;
    const path = join(folder, 'notes');
    writeFileSync(path, 'keep me');
    await expect(TestAgent.start(withRoutes(2).replace('FOLDER/control.sock', path))).rejects.toThrow(
      'there is something else than a socket',
    );
    expect(readFileSync(path, 'utf8')).toBe('keep me');
  });
});

it('an agent that ends answers what it is asked with 503', async () => {
  const agent = await TestAgent.start(withRoutes(1));
  // A hanging request keeps a connection, whose next request comes after the agent began to end.
  const phases: Reply[] = [];
  const ending = agent.agent.close();
  for (const path of ['/sessions', '/routes', '/readyz']) {
    const reply = await agent.ask(path).catch(() => undefined);
    if (reply !== undefined) phases.push(reply);
  }
  await ending;
  for (const reply of phases) expect(reply.status).toBe(503);
});

describe('every answer that is described', () => {
  afterAll(() => {
    // The stream is held to it event by event; 502 takes a backend that fails, 503 an agent that starts or ends at the moment of the request.
    const rare = (answer: string): boolean => / (502|503)$/.test(answer) || answer === 'GET /events 200';
    expect(describedAnswers().filter((answer) => !api.seen.has(answer) && !rare(answer))).toEqual([]);
  });

  it.each(['DELETE /routes', 'POST /admin-down', 'POST /admin-up', 'POST /hold', 'POST /release'])(
    '%s with a wrong body, type or manager',
    async (operation) => {
      const agent = await TestAgent.start(withRoutes(1));
      const [method = '', path = ''] = operation.split(' ');
      const isHold = path === '/hold' || path === '/release';
      const good = isHold ? { seconds: 1, manager: 'nobody' } : routeBody(1, { manager: 'nobody' });
      const bodies: [unknown, number][] = [
        [{ nonsense: 1 }, 400],
        [path === '/release' ? { manager: 'nobody' } : good, 404],
      ];
      for (const [body, status] of bodies) expect((await described(agent, method, path, body)).status).toBe(status);
      const plain = await agent.ask(path, { method, body: '{}', headers: { 'Content-Type': 'text/plain' } });
      expect(api.faults(method, path, plain)).toEqual([]);
      const large = { method, body: 'x'.repeat(1024 * 1024 + 1), headers: { 'Content-Type': 'application/json' } };
      expect(api.faults(method, path, await agent.ask(path, large))).toEqual([]);
    },
  );
});

interface Seen {
  readonly id: number;
  readonly type: string;
  readonly manager?: string;
  readonly peer_ip?: string | null;
  readonly note?: string | null;
  readonly after?: number;
  readonly before?: number;
}

/** The events until the newest, or the first `count`. */
async function eventsOf(
  agent: TestAgent,
  { headers = {}, count }: { headers?: Record<string, string>; count?: number } = {},
): Promise<Seen[]> {
  const path = headers['Last-Event-ID'] === undefined ? '/events?after=0' : '/events';
  return new Promise((resolve, reject) => {
    const sent = request({ socketPath: agent.socket, path, headers, agent: false }, (response) => {
      let text = '';
      // What there is arrives at once; without a count the stream is read until nothing came for a while.
      let quiet: NodeJS.Timeout | undefined;
      const end = (): void => {
        sent.destroy();
        resolve(parsed(text));
      };
      response.on('data', (chunk: Buffer) => {
        text += chunk.toString();
        clearTimeout(quiet);
        if (count !== undefined && parsed(text).length >= count) end();
        else if (count === undefined) quiet = setTimeout(end, 100);
      });
      response.on('error', () => undefined);
    });
    sent.on('error', reject);
    sent.end();
  });
}

/** The data of an event. */
function withoutId(event: Seen | undefined): unknown {
  return { ...event, id: undefined };
}

function parsed(text: string): Seen[] {
  return [...text.matchAll(/^id: (\d+)\nevent: (\w+)\ndata: (.*)\n\n/gm)].map(([, id, type = '', data = '']) => {
    return { ...(JSON.parse(data) as object), id: Number(id), type };
  });
}

/** Sends bytes, and gives what comes back until the end. */
function raw(path: string, text: string): Promise<string> {
  return new Promise((resolve) => {
    let heard = '';
    const socket = connect(path, () => socket.write(text));
    socket.on('data', (chunk) => (heard += chunk.toString()));
    socket.on('close', () => resolve(heard));
    socket.on('error', () => undefined);
  });
}
