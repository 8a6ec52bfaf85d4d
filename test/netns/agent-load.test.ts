/** An agent with a thousand sessions between two namespaces: what a reload and a busy control API leave alone. */
import { connect } from 'node:net';

import { afterAll, beforeAll, expect, it, vi } from 'vitest';

import type { AgentEvent, TransitionEvent } from '../../ts/agent/control-api.js';
import { AgentDaemon, PATIENCE } from './agent-daemon.js';
import { pause } from './agent.js';
import { run } from './command.js';
import { describeLab, Lab } from './lab.js';

const COUNT = 1_000;
const CHANGES = 10;

/** Three intervals of silence of these mean Down. */
const INTERVAL_MS = 300;

const OWN = '10.202.255.1';

/** The address of a peer, from 0. */
const peer = (number: number): string => `10.202.${number >> 8}.${number & 255}`;
const destination = (number: number): string => `10.9.${number >> 8}.${number & 255}`;

const FILE = `control: { socket: FOLDER/control.sock }
timers: { default: { txMin: ${INTERVAL_MS}, rxMin: ${INTERVAL_MS}, detectMult: 3 }, slow: { txMin: 500, rxMin: 500, detectMult: 3 } }
managers:
`;

/** The host with the routes: one session for each peer. @param slow the peers whose routes have other timers */
function routes(numbers: readonly number[], slow: ReadonlySet<number> = new Set()): string {
  const lines = numbers.map((number) => {
    const timers = slow.has(number) ? ', timers: slow' : '';
    return `      - { iface: v1, dst: ${destination(number)}/32, nextHop: ${peer(number)}, src: ${OWN}, peerIP: ${peer(number)}${timers} }`;
  });
  return `${FILE}  - bindIP: ${OWN}\n    routes:\n${lines.join('\n')}\n`;
}

/** The host with the peers, which has no route. */
function sessions(numbers: readonly number[]): string {
  const lines = numbers.map((number) => `      - { iface: v2, localIP: ${peer(number)}, peerIP: ${OWN} }`);
  return `${FILE}  - bindIP: 0.0.0.0\n    backend: memory\n    sessions:\n${lines.join('\n')}\n`;
}

/** Numbers that make addresses of hosts, from `from` on. */
function numbered(from: number, count: number): number[] {
  return Array.from({ length: count }, (_, index) => from + index + 1);
}

const isTransition = (event: AgentEvent): event is TransitionEvent => event.type === 'transition';

describeLab('an agent with a thousand sessions', [], () => {
  let lab: Lab;
  let agent: AgentDaemon;
  let other: AgentDaemon;
  const all = numbered(0, COUNT + CHANGES);
  const before = all.slice(0, COUNT);

  beforeAll(async () => {
    lab = new Lab();
    lab.addAddress(lab.one, OWN, 16);
    const addresses = all.map((number) => `addr add ${peer(number)}/16 dev v2\n`);
    run('ip', ['-n', lab.two.name, '-batch', '-'], addresses.join(''));
    other = await AgentDaemon.start(sessions(all), { lab, host: lab.two });
    agent = await AgentDaemon.start(routes(before), { lab, host: lab.one });
    await vi.waitFor(async () => expect((await agent.sessions('?state=up')).length).toBe(COUNT), PATIENCE);
    await vi.waitFor(() => expect(lab.routes(lab.one).length).toBeGreaterThanOrEqual(COUNT), PATIENCE);
  }, 120_000);

  afterAll(async () => {
    await agent.close();
    await other.close();
    lab.close();
  });

  it('adds, removes and changes ten routes at a reload, and no other session changes its state', async () => {
    const { seen, request } = agent.events();
    await expect.poll(() => request.reusedSocket || request.socket?.readyState === 'open', PATIENCE).toBe(true);
    const [gone, slow] = [new Set(all.slice(0, CHANGES)), new Set(all.slice(100, 100 + CHANGES))];
    const kept = all.filter((number) => !gone.has(number));
    agent.rewrite(routes(kept, slow));
    agent.signal('SIGHUP');
    await expect
      .poll(() => seen.find(({ type }) => type === 'reload'), PATIENCE)
      .toMatchObject({
        ...{ ok: true, added: CHANGES, removed: CHANGES, changed: CHANGES, error: null },
      });
    await expect.poll(async () => (await agent.sessions('?state=up')).length, PATIENCE).toBe(COUNT);
    const expected = new Set(kept.map((number) => destination(number)));
    const installed = (): string[] => lab.routes(lab.one).flatMap(({ dst }) => (dst.startsWith('10.9.') ? [dst] : []));
    await expect.poll(() => installed().length, PATIENCE).toBe(COUNT);
    expect(installed().filter((dst) => !expected.has(dst))).toEqual([]);
    // Twice the longest detection time: a session that lost its peer would be Down by then.
    await pause(2 * 3 * 500);
    const added = new Set(all.slice(COUNT).map((number) => peer(number)));
    expect(seen.filter(isTransition).filter(({ peer_ip }) => !added.has(peer_ip))).toEqual([]);
    const changed = (await agent.sessions()).filter(({ peer_ip }) => [...slow].some((number) => peer(number) === peer_ip));
    expect(changed.map(({ detect_time_ms }) => detect_time_ms)).toEqual(Array.from({ length: CHANGES }, () => 1_500));
    request.destroy();
  });

  it('answers 50 000 requests as fast as they come, with whole lists among them, and no session changes its state', async () => {
    const { seen, request } = agent.events();
    const paths = ['/healthz', '/readyz', '/sessions?state=down', `/sessions?peer=${peer(500)}`, '/nowhere', '/routes?prefix=10.9.1.0/28'];
    let isOver = false;
    const lists = async (): Promise<number> => {
      let count = 0;
      for (; !isOver; count += 1) expect((await agent.sessions()).length).toBe(COUNT);
      return count;
    };
    const listed = lists();
    const answers = await Promise.all(Array.from({ length: 8 }, () => pipelined(agent.socket, paths, 6_250)));
    isOver = true;
    expect(await listed).toBeGreaterThan(0);
    const statuses = answers.flat();
    expect(statuses.length).toBe(50_000);
    expect(new Set(statuses)).toEqual(new Set(['200', '404']));
    // What a silence during the requests would lead to is seen by then.
    await pause(3 * 500);
    expect(seen.filter(isTransition)).toEqual([]);
    expect((await agent.sessions('?state=up')).length).toBe(COUNT);
    request.destroy();
  });

  it('bears clients that send garbage and long bodies or do not read, and no session changes its state', async () => {
    const { seen, request } = agent.events();
    const get = (path: string): string => `GET ${path} HTTP/1.1\r\nHost: x\r\n\r\n`;
    const post = (length: number): string =>
      `POST /routes HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: ${length}\r\n\r\n`;
    const texts = [
      ...['\0\0\0\0'.repeat(1_000), 'GET', get('/'.repeat(50_000)), get('/events?after=0'), get('/sessions').repeat(20)],
      ...[post(1e9) + 'x'.repeat(2_000_000), post(1_000_000) + '['.repeat(999_999), post(500_000) + '['.repeat(500_000)],
    ];
    const clients = Array.from({ length: 80 }, (_, index) => {
      const client = connect(agent.socket);
      // Nobody reads, and a connection that the agent ends is no fault.
      client.pause();
      client.on('error', () => undefined);
      client.write(texts[index % texts.length] ?? '');
      return client;
    });
    await expect.poll(async () => (await agent.ask('/readyz')).status, PATIENCE).toBe(200);
    await pause(2 * 3 * 500);
    expect((await agent.sessions('?state=up')).length).toBe(COUNT);
    expect(seen.filter(isTransition)).toEqual([]);
    for (const client of clients) client.destroy();
    request.destroy();
  });
});

/** Sends requests on one connection, sixteen at a time, so that the agent is the one that works. Gives the statuses of the answers. */
function pipelined(socket: string, paths: readonly string[], count: number): Promise<string[]> {
  return new Promise((resolve, reject) => {
    const statuses: string[] = [];
    let [sent, rest] = [0, ''];
    const connection = connect(socket);
    const send = (): void => {
      const batch = Math.min(16, count - sent);
      if (batch <= 0) connection.end();
      const requests = Array.from(
        { length: Math.max(batch, 0) },
        (_, index) => `GET ${paths[(sent + index) % paths.length]} HTTP/1.1\r\nHost: x\r\n\r\n`,
      );
      sent += requests.length;
      if (requests.length > 0) connection.write(requests.join(''));
    };
    connection.setEncoding('utf8');
    connection.on('connect', send);
    connection.on('data', (chunk: string) => {
      const found = [...(rest + chunk).matchAll(/HTTP\/1\.1 (\d{3})/g)];
      // The beginning of a status line may be in the next chunk.
      rest = (rest + chunk).slice(Math.max((found.at(-1)?.index ?? -12) + 12, (rest + chunk).length - 11));
      statuses.push(...found.map(([, status = '']) => status));
      if (statuses.length === sent) send();
    });
    connection.on('error', reject);
    connection.on('close', () => resolve(statuses));
  });
}
