/**
 * Hundreds of peers that do not even answer ARP: what is sent to them waits in the kernel for their addresses, and is charged
 * to the socket that live sessions send by, too.
 */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import type { Route } from '../../ts/index.js';
import { Agent, type LogLine, pause, registerService } from './agent.js';
import { run } from './command.js';
import { cannotRun, type Host, Lab } from './lab.js';

const DEAD = 300;

/** A minute where somebody asks for it. */
const WATCH_MS = Number(process.env['SEND_BUFFER_SECONDS'] ?? 12) * 1_000;

/** Each of the dead is sent ten packets a second, which wait for three: more than any send buffer that is granted has room for. */
const FAST_PROBES = { backoffMax: 100 };

const LOG_INTERVAL_MS = 5_000;

describe.skipIf(cannotRun())('300 peers on one link answer no ARP request, and', () => {
  let lab: Lab;

  beforeEach(() => {
    lab = new Lab();
  });

  afterEach(() => {
    lab.close();
  });

  /** A link of its own, whose other end is up and has none of the addresses. */
  const makeDeadLink = (): void => {
    const { one, two } = lab;
    run('ip', ['link', 'add', 'dead1', 'netns', one.name, 'type', 'veth', 'peer', 'name', 'dead2', 'netns', two.name]);
    run('ip', ['-n', one.name, 'addr', 'add', '10.202.0.1/16', 'dev', 'dead1']);
    run('ip', ['-n', one.name, 'link', 'set', 'dead1', 'up']);
    run('ip', ['-n', two.name, 'link', 'set', 'dead2', 'up']);
  };

  const registerDead = async (agent: Agent, iface: string, src: string, timers: Record<string, number> = {}): Promise<void> => {
    const registrations = Array.from({ length: DEAD }, (_, index) => {
      const octets = `${1 + Math.floor(index / 250)}.${(index % 250) + 1}`;
      const route: Route = { table: 254, dst: `10.203.${octets}/32`, src, nextHop: `10.202.${octets}`, protocol: 186 };
      return { route, iface, peerIP: route.nextHop, ...timers };
    });
    await agent.call('registerRoutes', registrations);
  };

  /** A session of each host with the other. */
  const startBystanders = async (config: Record<string, unknown>): Promise<[Agent, Agent]> => {
    const start = (host: Host): Promise<Agent> => Agent.start(lab, host, { bindIP: '0.0.0.0', ...config });
    const agents = (await Promise.all([lab.one, lab.two].map(start))) as [Agent, Agent];
    await Promise.all(agents.map((agent) => registerService(lab, agent)));
    await Promise.all(agents.map((agent) => agent.state('up')));
    return agents;
  };

  const downs = (agent: Agent): number =>
    agent.events.filter(({ event, to, from }) => event === 'transition' && to === 'down' && from === 'up').length;

  const changes = { txMin: 100, rxMin: 100 };

  it('a session on another link stays Up', async () => {
    const agents = await startBystanders(changes);
    makeDeadLink();
    await registerDead(agents[0], 'dead1', '10.202.0.1');
    await pause(WATCH_MS);
    expect(agents.map(downs)).toEqual([0, 0]);
    const { sendBufferBytes, sendBufferFull } = await agents[0].stats();
    expect(sendBufferBytes, 'eight packets of a kilobyte for each session').toBeGreaterThanOrEqual((DEAD + 1) * 8_192);
    expect(sendBufferFull).toBe(0);
  });

  it.each([
    ['native', changes],
    // Its packets are handled on an event loop, which this machine may keep waiting.
    ['js', { txMin: 500, rxMin: 500, engine: 'js' }],
  ])('fill any send buffer: a session on the same link, from the same address, stays Up (%s), and the log says why', async (_, config) => {
    const agents = await startBystanders({ ...config, ...FAST_PROBES });
    run('ip', ['-n', lab.one.name, 'addr', 'add', '10.202.0.1/16', 'dev', lab.one.iface]);
    await registerDead(agents[0], lab.one.iface, lab.one.address, { txMin: 100, rxMin: 100 });
    await pause(WATCH_MS);
    expect(agents.map(downs)).toEqual([0, 0]);
    const stats = await agents[0].stats();
    expect(stats.sendBufferFull).toBeGreaterThan(0);
    expect(stats.endpoints.reduce((sum, { dropped }) => sum + dropped, 0)).toBeGreaterThan(0);
    const lines = (await agents[0].call<LogLine[]>('logged')).filter(({ message }) => message.includes('send buffer'));
    expect(lines[0]?.message).toContain('neighbours that do not answer');
    for (const [index, { at }] of lines.entries()) {
      const before = lines[index - 1];
      if (before !== undefined) expect(at - before.at).toBeGreaterThan(LOG_INTERVAL_MS - 100);
    }
  });
});
