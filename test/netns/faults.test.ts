/** What the kernel and its administrators do to a path and to its routes, between two hosts on the native engine. */
import { readdirSync } from 'node:fs';

import { afterEach, beforeEach, expect, it } from 'vitest';

import { type Agent, Agent as AgentProcess, isAdd, isDelete, pause, registerService, serviceRoute, startPair } from './agent.js';
import { run } from './command.js';
import { describeLab, type Host, Lab } from './lab.js';
import { IS_LONG } from './needs.js';

const PATIENCE_MS = 15_000;

/** Drops what arrives by the loopback interface. */
const HOLD_BACK = 'table inet hold {\n chain in {\n type filter hook input priority 0\n iif "lo" udp dport 44880 drop\n }\n}\n';

describeLab('the native engine between two hosts', ['nft'], () => {
  let lab: Lab;

  beforeEach(() => {
    lab = new Lab();
  });

  afterEach(() => {
    lab.close();
  });

  const ip = (host: Host, ...args: string[]): string => run('ip', ['-n', host.name, ...args]);
  const hasRoute = (host: Host): boolean => lab.has(host, lab.other(host).service);
  const until = async (what: string, holds: () => boolean | Promise<boolean>): Promise<void> => {
    const deadline = Date.now() + PATIENCE_MS;
    while (!(await holds())) {
      if (Date.now() > deadline) throw new Error(`not in time: ${what}`);
      await pause(20);
    }
  };
  const restored = async (agent: Agent): Promise<number> => {
    const { routes } = await agent.call<{ routes: { endpoints: { restored: number }[] } }>('stats');
    return routes.endpoints.reduce((sum, endpoint) => sum + endpoint.restored, 0);
  };
  const extensions = async (agent: Agent): Promise<number> => {
    const { endpoints } = await agent.call<{ endpoints: { extensions: number }[] }>('stats');
    return endpoints.reduce((sum, endpoint) => sum + endpoint.extensions, 0);
  };
  const settled = async (agents: readonly Agent[]): Promise<boolean> => {
    const sessions = (await Promise.all(agents.map((agent) => agent.sessions()))).flat();
    return (
      sessions.every(({ state, routes }) => state === 'up' && routes.every((it) => it.installed)) && hasRoute(lab.one) && hasRoute(lab.two)
    );
  };

  it('puts a route back that somebody deletes, counts it, and changes no session', async () => {
    const [one] = await startPair(lab);
    const mark = one.events.length;
    lab.route(lab.one, 'del', `${lab.two.service}/32`);
    await one.event(isAdd, mark);
    expect(hasRoute(lab.one)).toBe(true);
    expect(await restored(one)).toBe(1);
    expect(one.events.slice(mark).filter(({ event }) => event === 'transition')).toEqual([]);
  });

  it('leaves a route of somebody else in the slot, and installs its own when that is gone', async () => {
    const [one] = await startPair(lab);
    const mark = one.events.length;
    run('ip', ['-n', lab.one.name, 'route', 'replace', `${lab.two.service}/32`, 'via', lab.two.address, 'proto', '42']);
    const refused = await one.event((event) => event.op === 'add' && event.ok === false, mark);
    expect(refused.error?.code).toBe('ERR_ROUTE_CONFLICT');
    expect(await one.sessions()).toMatchObject([
      { state: 'up', routes: [{ installed: false, lastError: { code: 'ERR_ROUTE_CONFLICT' } }] },
    ]);
    expect(lab.routes(lab.one)).toMatchObject([{ protocol: '42' }]);
    lab.cutBoth();
    await one.state('down', mark);
    await pause(100);
    expect(lab.routes(lab.one), 'what is not ours is not deleted either').toMatchObject([{ protocol: '42' }]);
    lab.healBoth();
    lab.route(lab.one, 'del', `${lab.two.service}/32`);
    await until('ours is back', () => lab.routes(lab.one).some(({ protocol }) => protocol === '186'));
  });

  it('puts a route back that the kernel dropped when the link went down for less than the detection time', async () => {
    const agents = await startPair(lab, () => ({ txMin: 500, rxMin: 500 }));
    const marks = agents.map((agent) => agent.events.length);
    ip(lab.one, 'link', 'set', lab.one.iface, 'down');
    ip(lab.one, 'link', 'set', lab.one.iface, 'up');
    await until('both routes are there', () => settled(agents));
    expect(hasRoute(lab.one)).toBe(true);
    agents.forEach((agent, index) => {
      expect(agent.events.slice(marks[index]).filter((event) => event.to === 'down')).toEqual([]);
    });
  });

  it('brings sessions and routes back when an address is removed and added again', async () => {
    const agents = await startPair(lab);
    const marks = agents.map((agent) => agent.events.length);
    ip(lab.one, 'addr', 'del', `${lab.one.address}/24`, 'dev', lab.one.iface);
    await Promise.all(agents.map((agent, index) => agent.state('down', marks[index])));
    ip(lab.one, 'addr', 'add', `${lab.one.address}/24`, 'dev', lab.one.iface);
    await until('both are back', () => settled(agents));
  });

  it.each([1, 20, 50, 80])(
    'holds exactly the routes of sessions that are Up while %i in a hundred packets are lost, and recovers afterwards',
    async (percent) => {
      const agents = await startPair(lab);
      const rules = [
        'table inet loss {',
        ' chain out {',
        '  type filter hook output priority 0;',
        `  udp dport 44880 numgen random mod 100 < ${percent} drop;`,
        ' }',
        '}',
      ];
      for (const host of [lab.one, lab.two]) run('ip', ['netns', 'exec', host.name, 'nft', '-f', '-'], `${rules.join('\n')}\n`);
      await pause(2_000);
      for (const host of [lab.one, lab.two]) run('ip', ['netns', 'exec', host.name, 'nft', 'delete', 'table', 'inet', 'loss']);
      await until('both are back', () => settled(agents));
    },
  );

  it.each(IS_LONG ? [3_000, 10_000] : [3_000])(
    'takes a session Down whose peer is stopped for %i ms; the peer reports its own delay afterwards',
    async (stop) => {
      const agents = await startPair(lab);
      const [one, two] = agents;
      const marks = agents.map((agent) => agent.events.length);
      two.signal('SIGSTOP');
      const down = await one.state('down', marks[0]);
      expect(down.reason).toBe('timeout');
      await one.event(isDelete, marks[0]);
      await pause(stop);
      expect(hasRoute(lab.one)).toBe(false);
      two.signal('SIGCONT');
      await until('both are back', () => settled(agents));
      const left = await two.event((event) => event.from === 'up', marks[1]);
      // It finds in its socket what we said while it stood still: its session goes by our word or by our silence.
      expect(['remote_down', 'timeout']).toContain(left.reason);
      expect((await two.stats()).worstTurnDelay).toBeGreaterThan(stop - 500);
    },
  );

  it('brings a session back when its link was created again and the notifications overflowed while the process was stopped', async () => {
    const agents = await startPair(lab);
    const [one] = agents;
    one.signal('SIGSTOP');
    const changes = Array.from({ length: 600 }, (_, index) => `link set ${lab.one.iface} mtu ${1_400 + (index % 2)}`);
    run('ip', ['-n', lab.one.name, '-batch', '-'], `${changes.join('\n')}\n`);
    lab.removeLink();
    lab.makeLink();
    one.signal('SIGCONT');
    await until('both are back', () => settled(agents));
  });

  it('with minTtl 255, takes a session Down when its packets start to cross a router, counts them, and brings it back without the router', async () => {
    const agents = await startPair(lab, () => ({ minTtl: 255 }));
    const [one] = agents;
    const mark = one.events.length;
    const rules = [
      'table ip far {',
      ' chain out {',
      '  type filter hook output priority 0;',
      '  udp dport 44880 ip ttl set 254;',
      ' }',
      '}',
    ];
    run('ip', ['netns', 'exec', lab.two.name, 'nft', '-f', '-'], `${rules.join('\n')}\n`);
    const down = await one.state('down', mark);
    expect(down.reason).toBe('timeout');
    const { endpoints } = await one.stats();
    expect(endpoints.reduce((sum, { rxInvalid }) => sum + rxInvalid.bad_ttl, 0)).toBeGreaterThanOrEqual(2);
    run('ip', ['netns', 'exec', lab.two.name, 'nft', 'delete', 'table', 'ip', 'far']);
    await until('both are back', () => settled(agents));
  });

  it('with minTtl 255, accepts the packets of a neighbour that runs the JavaScript engine', async () => {
    const agents = await startPair(lab, (host) => (host === lab.one ? { minTtl: 255 } : { engine: 'js' }));
    await until('both are up', () => settled(agents));
  });

  it('says in localStall of a timeout for how long this process itself was stopped', async () => {
    const [one] = await startPair(lab);
    const mark = one.events.length;
    lab.cutBoth();
    one.signal('SIGSTOP');
    await pause(1_500);
    one.signal('SIGCONT');
    const down = await one.state('down', mark);
    expect(down.reason).toBe('timeout');
    expect(down.localStall).toBeGreaterThan(1_000);
  });

  it('gives a silent session one more interval while the host holds back what it sends to itself, but not for what it drops for good', async () => {
    // A quarter of a detection time is more than a busy machine makes the thread late by.
    const agents = await startPair(lab, () => ({ txMin: 300, rxMin: 300 }));
    const [one] = agents;
    const mark = one.events.length;
    // It stands for a receive path that gets no time: a test cannot stop the kernel's own threads.
    run('ip', ['netns', 'exec', lab.one.name, 'nft', '-f', '-'], HOLD_BACK);
    lab.cut(lab.two);
    const down = await one.state('down', mark);
    expect(down.reason).toBe('timeout');
    expect(down.localStall).toBeGreaterThanOrEqual(300);
    expect(await extensions(one)).toBe(1);

    lab.heal(lab.two);
    await until('both are up', () => settled(agents));
    await pause(1_000);
    const again = one.events.length;
    lab.cut(lab.two);
    expect((await one.state('down', again)).reason).toBe('timeout');
    expect(await extensions(one)).toBe(1);
  });

  it('emits the name of the system’s error when the kernel refuses a route, and retries until the kernel accepts it', async () => {
    const agents = await Promise.all([lab.one, lab.two].map((host) => AgentProcess.start(lab, host)));
    const [one, two] = agents as [Agent, Agent];
    const unreachable = serviceRoute(lab, lab.one, { nextHop: '10.202.0.9' });
    await one.register(unreachable, { peerIP: lab.two.address });
    await registerService(lab, two);
    const refused = await one.event((event) => event.op === 'add' && event.ok === false);
    expect(refused.error?.code).toBe('ENETUNREACH');
    ip(lab.one, 'addr', 'add', '10.202.0.1/24', 'dev', lab.one.iface);
    await one.event(isAdd);
    expect(hasRoute(lab.one)).toBe(true);
  });

  it('in passive mode, resolves the withdrawal of a route that is already gone', async () => {
    const [one] = await startPair(lab, () => ({ passiveMode: true }));
    lab.route(lab.one, 'del', `${lab.two.service}/32`);
    await one.call('withdrawRoute', serviceRoute(lab, lab.one), lab.one.iface);
    expect(await one.sessions()).toEqual([]);
  });

  it('reports ERR_NETLINK_UNAVAILABLE for a route when the route worker cannot start, and retries', async () => {
    const agents = await Promise.all([lab.one, lab.two].map((host) => AgentProcess.start(lab, host)));
    const [one, two] = agents as [Agent, Agent];
    leaveDescriptors(one, DESCRIPTORS_TO_REGISTER);
    await registerService(lab, one);
    await registerService(lab, two);
    const refused = await one.event((event) => event.op === 'add' && event.ok === false);
    expect(refused.error?.code).toBe('ERR_NETLINK_UNAVAILABLE');
    expect(await one.sessions()).toMatchObject([{ routes: [{ installed: false, lastError: { code: 'ERR_NETLINK_UNAVAILABLE' } }] }]);
    expect((await one.call<{ level: string; message: string }[]>('logged')).some(({ level }) => level === 'error')).toBe(true);
    limitDescriptors(one, MANY);
    await until('the route is installed', () => hasRoute(lab.one));
    await one.call('withdrawRoute', serviceRoute(lab, lab.one), lab.one.iface);
    expect(hasRoute(lab.one)).toBe(false);
  });

  it('resolves a withdrawal although the route worker could not start', async () => {
    const one = await AgentProcess.start(lab, lab.one);
    leaveDescriptors(one, DESCRIPTORS_TO_REGISTER);
    await registerService(lab, one);
    await one.call('withdrawRoute', serviceRoute(lab, lab.one), lab.one.iface);
    expect(await one.sessions()).toEqual([]);
  });

  it('refuses a registration with EMFILE when the process has no descriptor left', async () => {
    const one = await AgentProcess.start(lab, lab.one);
    leaveDescriptors(one, 0);
    await expect(registerService(lab, one)).rejects.toMatchObject({ code: 'EMFILE' });
    expect(await one.sessions()).toEqual([]);
    limitDescriptors(one, MANY);
    await registerService(lab, one);
  });

  it.each(['keep', 'withdraw'] as const)('stops when its socket is gone, and its routes are as onFatal says: %s', async (onFatal) => {
    const [one] = await startPair(lab, () => ({ onFatal }));
    const mark = one.events.length;
    await one.call('breakSocket');
    await one.event(({ event }) => event === 'fatal', mark);
    expect(hasRoute(lab.one)).toBe(onFatal === 'keep');
  });

  it.each([
    ['armed', {}],
    ['passive', { passiveMode: true }],
    ['on the JavaScript engine', { engine: 'js' }],
  ])('deletes a kernel route when the process has no descriptor left: %s', async (_, config) => {
    const [one] = await startPair(lab, () => config);
    leaveDescriptors(one, 0);
    await one.call('withdrawRoute', serviceRoute(lab, lab.one), lab.one.iface);
    expect(hasRoute(lab.one)).toBe(false);
  });
});

const MANY = 1_024;

/** An interface is looked up through one descriptor, an address through another. The thread that moves routes needs four. */
const DESCRIPTORS_TO_REGISTER = 3;

function limitDescriptors(agent: Agent, soft: number): void {
  run('prlimit', ['--pid', `${agent.pid}`, `--nofile=${soft}:${MANY}`]);
}

/** A process is given the lowest free numbers that are below its limit. */
function leaveDescriptors(agent: Agent, count: number): void {
  const open = new Set(readdirSync(`/proc/${agent.pid}/fd`).map(Number));
  const free = Array.from({ length: MANY }, (_, number) => number).filter((number) => !open.has(number));
  limitDescriptors(agent, free[count] ?? MANY);
}
