/** Which route of the kernel's tables is ours, whatever others put beside it, before it or in place of it. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import { Agent, isAdd, isDelete, pause, registerService, serviceRoute, startPair } from './agent.js';
import { attempt, run } from './command.js';
import { cannotRun, type Host, Lab } from './lab.js';

const PATIENCE_MS = 15_000;

/** The ways in which routes are moved: armed, by a backend that is called, and in passive mode. */
const WAYS = [
  { way: 'armed', config: {} },
  { way: 'on the JavaScript engine', config: { engine: 'js' } },
  { way: 'in passive mode', config: { passiveMode: true } },
];

describe.skipIf(cannotRun())('a route of ours', () => {
  let lab: Lab;

  beforeEach(() => {
    lab = new Lab();
  });

  afterEach(() => {
    lab.close();
  });

  const ip = (host: Host, ...args: string[]): string => run('ip', ['-n', host.name, ...args]);
  const service = (): string => `${lab.two.service}/32`;
  const ours = (): { protocol: string; dev?: string }[] => lab.routes(lab.one).filter(({ protocol }) => protocol === '186');
  const theirs = (): { protocol: string }[] => lab.routes(lab.one).filter(({ protocol }) => protocol === '42');
  const until = async (what: string, holds: () => boolean | Promise<boolean>): Promise<void> => {
    const deadline = Date.now() + PATIENCE_MS;
    while (!(await holds())) {
      if (Date.now() > deadline) throw new Error(`not in time: ${what}; ${JSON.stringify(lab.routes(lab.one))}; ${await told()}`);
      await pause(20);
    }
  };
  /** What agents know, for the message of a failure. */
  let told = (): Promise<string> => Promise.resolve('');
  const installed = async (agent: Agent): Promise<boolean> => (await agent.sessions())[0]?.routes[0]?.installed === true;
  const other = (...how: string[]): string[] => ['route', ...how, 'via', lab.two.address, 'dev', lab.one.iface, 'proto', '42'];

  it.each(
    WAYS.flatMap((way) => [
      { ...way, beside: 'appended', how: (): string[] => ['append', service()] },
      { ...way, beside: 'prepended', how: (): string[] => ['prepend', service()] },
      { ...way, beside: 'of another TOS', how: (): string[] => ['add', service(), 'tos', '0x10'] },
    ]),
  )('goes at its withdrawal although another was $beside, $way, and that one stays', async ({ config, how }) => {
    const [one] = await startPair(lab, (host) => (host === lab.one ? config : {}));
    ip(lab.one, ...other(...how()));
    await pause(100);
    expect(ours()).toHaveLength(1);
    expect(await installed(one)).toBe(true);
    await one.call('withdrawRoute', serviceRoute(lab, lab.one), lab.one.iface);
    expect(ours()).toEqual([]);
    expect(theirs()).toHaveLength(1);
  });

  it.each(['append', 'prepend'])('is deleted when its session goes Down although another route was put beside it (%s)', async (how) => {
    const [one] = await startPair(lab);
    ip(lab.one, ...other(how, service()));
    const mark = one.events.length;
    lab.cutBoth();
    await one.event(isDelete, mark);
    expect(ours()).toEqual([]);
    expect(theirs()).toHaveLength(1);
  });

  it.each(WAYS)('is put back whenever it is lost, $way, and is not called installed meanwhile', async ({ config }) => {
    const [one] = await startPair(lab, (host) => (host === lab.one ? { txMin: 500, rxMin: 500, ...config } : { txMin: 500, rxMin: 500 }));
    told = async () => JSON.stringify([await one.sessions(), one.events.slice(-8)]);
    const address = [`${lab.one.address}/24`, 'dev', lab.one.iface];
    // What a link or an address takes along counts as nobody's doing, and is put back at once.
    const losses: [string, () => void][] = [
      ['flushed', () => ip(lab.one, 'route', 'flush', 'proto', '186')],
      ['dropped with its link', () => (ip(lab.one, 'link', 'set', lab.one.iface, 'down'), ip(lab.one, 'link', 'set', lab.one.iface, 'up'))],
      ['dropped with its address', () => (ip(lab.one, 'addr', 'del', ...address), ip(lab.one, 'addr', 'add', ...address))],
      [
        'replaced by one that is deleted',
        () => (ip(lab.one, ...other('replace', service())), ip(lab.one, 'route', 'del', service(), 'proto', '42')),
      ],
    ];
    for (const [what, lose] of losses) {
      lose();
      await until(what, async () => ours().length === 1 && (await installed(one)));
    }
  });

  it('counts as not installed in passive mode while another route is in its slot, and is put back when that is gone', async () => {
    const [one] = await startPair(lab, (host) => (host === lab.one ? { passiveMode: true } : {}));
    ip(lab.one, ...other('replace', service()));
    await until('its loss is seen', async () => !(await installed(one)));
    expect(theirs()).toHaveLength(1);
    ip(lab.one, 'route', 'del', service(), 'proto', '42');
    await until('it is back', async () => ours().length === 1 && (await installed(one)));
  });

  it('leads over the interface of its session although another link leads to the same next hop', async () => {
    // Two links to the same neighbour; the first, which the table prefers, is dead.
    ip(lab.one, 'link', 'add', 'w1', 'type', 'veth', 'peer', 'name', 'w2', 'netns', lab.two.name);
    ip(lab.one, 'link', 'set', 'w1', 'up');
    ip(lab.two, 'link', 'set', 'w2', 'up');
    ip(lab.one, 'addr', 'add', `${lab.one.address}/24`, 'dev', 'w1', 'metric', '500');
    ip(lab.two, 'addr', 'add', `${lab.two.address}/24`, 'dev', 'w2', 'metric', '500');
    for (const host of [lab.one, lab.two]) {
      for (const name of ['all', 'v1', 'v2', 'w1', 'w2']) {
        attempt('ip', [
          'netns',
          'exec',
          host.name,
          'sysctl',
          '-q',
          '-w',
          `net.ipv4.conf.${name}.rp_filter=0`,
          `net.ipv4.conf.${name}.arp_ignore=1`,
        ]);
      }
    }
    const agents = await Promise.all([lab.one, lab.two].map((host) => Agent.start(lab, host)));
    for (const agent of agents) {
      const iface = agent.host === lab.one ? 'w1' : 'w2';
      await agent.call('registerRoute', serviceRoute(lab, agent.host), iface, { peerIP: lab.other(agent.host).address });
    }
    await Promise.all(agents.map((agent) => agent.event(isAdd)));
    expect(ours()).toMatchObject([{ dev: 'w1' }]);
  });

  it('is swept or adopted only if it is exactly of our kind', async () => {
    const via = ['via', lab.two.address, 'dev', lab.one.iface, 'proto', '186'];
    const leave = (dst: string, ...rest: string[]): string => ip(lab.one, 'route', 'add', dst, ...rest);
    leave('10.9.1.1/32', ...via, 'src', lab.one.address);
    leave('10.9.1.2/32', ...via, 'tos', '0x10');
    leave('10.9.1.3/32', ...via, 'mtu', '1400');
    leave('10.9.1.4/32', 'proto', '186', 'nexthop', 'via', lab.two.address, 'nexthop', 'via', '10.201.0.9');
    ip(lab.one, 'route', 'add', 'blackhole', '10.9.1.5/32', 'proto', '186');
    const one = await Agent.start(lab, lab.one);
    const swept = await one.call<{ dst: string }[]>('sweepRoutes', { protocol: 186, table: 254 });
    expect(swept.map(({ dst }) => dst)).toEqual(['10.9.1.1/32']);
    expect(ours()).toHaveLength(4);
  });

  it('is put back with growing delays when two agents want one slot, and each logs it once', async () => {
    ip(lab.one, 'addr', 'add', '10.201.0.11/24', 'dev', lab.one.iface);
    const [first, two] = await startPair(lab);
    const second = await Agent.start(lab, lab.one, { bindIP: '10.201.0.11' });
    await second.register(serviceRoute(lab, lab.one, { src: '10.201.0.11' }), { peerIP: lab.two.address });
    await two.register(serviceRoute(lab, lab.two, { dst: '10.9.0.11/32', nextHop: '10.201.0.11' }), { peerIP: '10.201.0.11' });
    await second.state('up');
    await pause(3_000);
    const adds = [first, second].map((agent) => agent.events.filter(isAdd).length);
    // Each puts it back once at once, then after 1 s, and after 2 s more.
    expect(Math.max(...adds)).toBeLessThan(8);
    for (const agent of [first, second]) {
      const lines = await agent.call<{ kind: string }[]>('logged');
      expect(lines.filter(({ kind }) => kind.includes('again and again'))).toHaveLength(1);
    }
    const { routes } = await first.stats();
    expect(routes.endpoints.reduce((sum, endpoint) => sum + endpoint.restoresDelayed, 0)).toBeGreaterThan(0);
  });

  it('stays when the manager closes with adminDown, unless withdrawRoutes is set', async () => {
    for (const { config } of WAYS) {
      const [one, two] = await startPair(lab, (host) => (host === lab.one ? config : {}));
      const mark = two.events.length;
      await one.call('close', { adminDown: true });
      expect((await two.state('down', mark)).reason).toBe('remote_admin');
      expect(ours()).toHaveLength(1);
      await one.kill();
      await two.kill();
      for (const host of [lab.one, lab.two]) ip(host, 'route', 'flush', 'proto', '186');
    }
  });

  it.each(WAYS)('is replaced by one with another next hop, $way, without a moment without a route', async ({ config }) => {
    ip(lab.two, 'addr', 'add', '10.201.0.3/24', 'dev', lab.two.iface);
    const [one] = await startPair(lab, (host) => (host === lab.one ? config : {}));
    const { spawn } = await import('node:child_process');
    const monitor = spawn('ip', ['-n', lab.one.name, 'monitor', 'route'], { stdio: ['ignore', 'pipe', 'ignore'] });
    let seen = '';
    monitor.stdout.on('data', (chunk: Buffer) => (seen += chunk.toString()));
    await pause(200);
    await one.register(serviceRoute(lab, lab.one, { nextHop: '10.201.0.3' }), { peerIP: lab.two.address });
    await until('the new route is the only one', () => ours().length === 1 && JSON.stringify(ours()).includes('10.201.0.3'));
    await until('both notices', () => seen.includes('Deleted'));
    monitor.kill();
    const [added, deleted] = [seen.indexOf('via 10.201.0.3'), seen.indexOf('Deleted')];
    expect(added).toBeGreaterThanOrEqual(0);
    expect(added, 'added before the former one is deleted').toBeLessThan(deleted);
    expect(await one.sessions()).toMatchObject([{ state: 'up', routes: [{ installed: true }] }]);
    expect(one.events.filter(({ event, from }) => event === 'transition' && from === 'up')).toEqual([]);
  });

  it('does not count as installed when it vanished before an agent adopts it', async () => {
    const one = await Agent.start(lab, lab.one);
    await registerService(lab, one);
    run('ip', [
      '-n',
      lab.one.name,
      'route',
      'add',
      service(),
      'via',
      lab.two.address,
      'dev',
      lab.one.iface,
      'src',
      lab.one.address,
      'proto',
      '186',
    ]);
    const adopted = await one.call<{ dst: string }[]>('adoptRoutes', { protocol: 186, table: 254 });
    expect(adopted).toMatchObject([{ dst: service() }]);
    expect(await installed(one)).toBe(true);
    ip(lab.one, 'route', 'del', service());
    await until('its loss is seen', async () => !(await installed(one)));
    expect(await one.call<unknown[]>('adoptRoutes', { protocol: 186, table: 254 })).toEqual([]);
  });
});
