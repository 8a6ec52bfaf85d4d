/** What the kernel and its administrators do to a path and to its routes, between two hosts on the native engine. */
import { readdirSync } from 'node:fs';

import { afterEach, beforeEach, expect, it } from 'vitest';

import { type Agent, Agent as AgentProcess, isAdd, isDelete, pause, registerService, serviceRoute, startPair } from './agent.js';
import { run } from './command.js';
import { describeLab, type Host, Lab } from './lab.js';
import { IS_LONG } from './needs.js';

const PATIENCE_MS = 15_000;

describeLab('two hosts, when', ['nft'], () => {
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
  const settled = async (agents: readonly Agent[]): Promise<boolean> => {
    const sessions = (await Promise.all(agents.map((agent) => agent.sessions()))).flat();
    return (
      sessions.every(({ state, routes }) => state === 'up' && routes.every((it) => it.installed)) && hasRoute(lab.one) && hasRoute(lab.two)
    );
  };

  it('somebody deletes the route, it is put back and counted, without a transition', async () => {
    const [one] = await startPair(lab);
    const mark = one.events.length;
    lab.route(lab.one, 'del', `${lab.two.service}/32`);
    await one.event(isAdd, mark);
    expect(hasRoute(lab.one)).toBe(true);
    expect(await restored(one)).toBe(1);
    expect(one.events.slice(mark).filter(({ event }) => event === 'transition')).toEqual([]);
  });

  it('somebody else takes the slot meanwhile, that route stays, and ours comes back when it is gone', async () => {
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

  it('the link goes down and comes up faster than the detection time, the route that the kernel dropped is back', async () => {
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

  it('the address is removed and added again, the sessions come back with their routes', async () => {
    const agents = await startPair(lab);
    const marks = agents.map((agent) => agent.events.length);
    ip(lab.one, 'addr', 'del', `${lab.one.address}/24`, 'dev', lab.one.iface);
    await Promise.all(agents.map((agent, index) => agent.state('down', marks[index])));
    ip(lab.one, 'addr', 'add', `${lab.one.address}/24`, 'dev', lab.one.iface);
    await until('both are back', () => settled(agents));
  });

  it.each([1, 20, 50, 80])(
    '%i in a hundred packets are lost, state and table agree whenever it is quiet, and all comes back',
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
    'the peer is stopped for %i ms and goes on, it is Down meanwhile, and says afterwards that it was itself',
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

  it('notifications of links overflow while the process is stopped, and its link is made anew: the session comes back', async () => {
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

  it('the peer’s packets cross a router of late, and only neighbours are heard: it is Down, counted, and back with the short way', async () => {
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

  it('the peer runs the JavaScript engine, and only neighbours are heard: it is one', async () => {
    const agents = await startPair(lab, (host) => (host === lab.one ? { minTtl: 255 } : { engine: 'js' }));
    await until('both are up', () => settled(agents));
  });

  it('this process itself was stopped, the timeout that follows says for how long', async () => {
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

  it('the kernel refuses the route, that is told with its own name and tried again until it can be', async () => {
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

  it('the route is gone already at its withdrawal, that is a withdrawal', async () => {
    const [one] = await startPair(lab, () => ({ passiveMode: true }));
    lab.route(lab.one, 'del', `${lab.two.service}/32`);
    await one.call('withdrawRoute', serviceRoute(lab, lab.one), lab.one.iface);
    expect(await one.sessions()).toEqual([]);
  });

  it('the thread that moves routes cannot be started, that is an error of the route, in the log too, and is tried again', async () => {
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

  it('a route is withdrawn although the thread that moves routes could not be started, that is a withdrawal', async () => {
    const one = await AgentProcess.start(lab, lab.one);
    leaveDescriptors(one, DESCRIPTORS_TO_REGISTER);
    await registerService(lab, one);
    await one.call('withdrawRoute', serviceRoute(lab, lab.one), lab.one.iface);
    expect(await one.sessions()).toEqual([]);
  });

  it('the process has no descriptor left, a registration is refused with EMFILE and not for want of the interface', async () => {
    const one = await AgentProcess.start(lab, lab.one);
    leaveDescriptors(one, 0);
    await expect(registerService(lab, one)).rejects.toMatchObject({ code: 'EMFILE' });
    expect(await one.sessions()).toEqual([]);
    limitDescriptors(one, MANY);
    await registerService(lab, one);
  });

  it.each([
    ['armed', {}],
    ['passive', { passiveMode: true }],
    ['on the JavaScript engine', { engine: 'js' }],
  ])('the process has no descriptor left, a route is withdrawn from the kernel all the same: %s', async (_, config) => {
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
