/**
 * Sessions over IPv6 on the native engine that the contract of the engines does not have: both families in one manager, and what
 * an agent that was killed leaves in the kernel's IPv6 table.
 */
import { afterEach, beforeEach, expect, it } from 'vitest';

import type { Route } from '../../ts/index.js';
import { Agent, isAdd, isDelete, pause, serviceRoute } from './agent.js';
import { run } from './command.js';
import { describeLab, type Host, Lab } from './lab.js';

const LEFT = { protocol: 186, table: 254 };
const BOTH_FAMILIES = ['0.0.0.0', '::'];

/** A destination and the addresses of the session that decides on its route. */
interface Way {
  readonly dst: string;
  readonly address: (host: Host) => string;
}

const IPV4: Way = { dst: '10.9.0.9/32', address: ({ address }) => address };
const GLOBAL: Way = { dst: '2001:db8:9::9/128', address: ({ addressIPv6 }) => addressIPv6 };
const LINK_LOCAL: Way = { dst: '2001:db8:9::10/128', address: ({ addressLinkLocal }) => addressLinkLocal };
const WAYS = [IPV4, GLOBAL, LINK_LOCAL];

describeLab('a manager with sessions of both families', ['nft'], () => {
  let lab: Lab;

  beforeEach(() => {
    lab = new Lab();
    lab.addIPv6();
    lab.addLinkLocal();
  });

  afterEach(() => {
    lab.close();
  });

  const routeOver = (host: Host, { dst, address }: Way): Route => ({
    ...serviceRoute(lab, host),
    ...{ dst, src: address(host), nextHop: address(lab.other(host)) },
  });
  const start = (host: Host): Promise<Agent> => Agent.start(lab, host, { bindIP: BOTH_FAMILIES });
  const register = (agent: Agent, way: Way): Promise<void> =>
    agent.register(routeOver(agent.host, way), { peerIP: way.address(lab.other(agent.host)) });
  const startBoth = async (): Promise<[Agent, Agent]> => {
    const agents: [Agent, Agent] = [await start(lab.one), await start(lab.two)];
    for (const agent of agents) for (const way of WAYS) await register(agent, way);
    for (const agent of agents) await each(WAYS, (way) => agent.event(ofWay(isAdd, way)));
    return agents;
  };
  const ofWay =
    (fits: typeof isAdd, { dst }: Way): typeof isAdd =>
    (event) =>
      fits(event) && event.route?.dst === dst;
  const each = <T>(ways: readonly Way[], step: (way: Way) => Promise<T>): Promise<T[]> => Promise.all(ways.map(step));

  /** What the kernel of a host has of ours, in the order of `WAYS`. */
  const installed = (host: Host, protocol = LEFT.protocol): string[] =>
    WAYS.flatMap(({ dst }) => {
      const family = dst.includes(':') ? '-6' : '-4';
      return run('ip', ['-n', host.name, family, 'route', 'show', 'exact', dst, 'proto', String(protocol)]) === '' ? [] : [dst];
    });
  const dsts = (ways: readonly Way[]): string[] => ways.map(({ dst }) => dst);
  /** Packets of IPv6 that a host sends get no further. */
  const cutIPv6 = (from: Host): void => {
    const rules = ['table ip6 cut {', ' chain out {', '  type filter hook output priority 0;', '  udp dport 44880 drop;', ' }', '}'];
    run('ip', ['netns', 'exec', from.name, 'nft', '-f', '-'], `${rules.join('\n')}\n`);
  };
  const healIPv6 = (from: Host): void => void run('ip', ['netns', 'exec', from.name, 'nft', 'delete', 'table', 'ip6', 'cut']);

  it('installs the routes of each, and loses those of IPv6 alone when only IPv6 is cut', async () => {
    const agents = await startBoth();
    for (const { host } of agents) expect(installed(host)).toEqual(dsts(WAYS));
    const marks = agents.map((agent) => agent.events.length);
    cutIPv6(lab.two);
    await Promise.all(agents.map((agent, index) => each([GLOBAL, LINK_LOCAL], (way) => agent.event(ofWay(isDelete, way), marks[index]))));
    for (const { host } of agents) expect(installed(host)).toEqual([IPV4.dst]);
    healIPv6(lab.two);
    await Promise.all(agents.map((agent, index) => each([GLOBAL, LINK_LOCAL], (way) => agent.event(ofWay(isAdd, way), marks[index]))));
    for (const [index, { host, events }] of agents.entries()) {
      expect(installed(host)).toEqual(dsts(WAYS));
      expect(events.slice(marks[index]).filter((event) => ofWay(isDelete, IPV4)(event))).toEqual([]);
    }
  });

  it('adopts the IPv6 routes of an agent that was killed, keeps those whose sessions come Up, and sweeps the others', async () => {
    const [victim] = await startBoth();
    await victim.kill();
    // Nobody wants this one any more, and the other is of another program.
    const [stale, foreign] = ['2001:db8:9::77/128', '2001:db8:9::78/128'];
    const add = (dst: string, protocol: string): string =>
      run('ip', ['-n', lab.one.name, 'route', 'add', dst, 'via', lab.two.addressIPv6, 'src', lab.one.addressIPv6, 'proto', protocol]);
    add(stale, '186');
    add(foreign, '42');
    expect(installed(lab.one), 'a kill leaves the routes').toEqual(dsts(WAYS));

    const reborn = await start(lab.one);
    await register(reborn, GLOBAL);
    await register(reborn, LINK_LOCAL);
    await reborn.call('adoptRoutes', LEFT);
    const swept = await reborn.call<{ dst: string }[]>('sweepRoutes', LEFT);
    expect(swept.map(({ dst }) => dst).sort()).toEqual([IPV4.dst, stale].sort());
    await expect
      .poll(async () => (await reborn.sessions()).map(({ state, routes }) => [state, ...routes.map((it) => it.installed)]), {
        timeout: 15_000,
      })
      .toEqual([
        ['up', true],
        ['up', true],
      ]);
    expect(installed(lab.one)).toEqual(dsts([GLOBAL, LINK_LOCAL]));
    expect(reborn.events.filter(isDelete).map(({ route }) => route?.dst)).not.toContain(GLOBAL.dst);
    const left = run('ip', ['-n', lab.one.name, '-6', 'route', 'show', 'root', '2001:db8:9::/64', 'proto', '42']);
    expect(left).toContain(foreign.replace('/128', ''));
  });

  it('withdraws an adopted IPv6 route whose session does not come Up', async () => {
    const agents = await startBoth();
    for (const agent of agents) await agent.kill();
    const reborn = await start(lab.one);
    await register(reborn, GLOBAL);
    await register(reborn, LINK_LOCAL);
    await reborn.call('adoptRoutes', LEFT);
    expect(installed(lab.one), 'it is held while its session may come Up').toEqual(dsts(WAYS));
    await each([GLOBAL, LINK_LOCAL], (way) => reborn.event(ofWay(isDelete, way)));
    expect(installed(lab.one), 'what is not registered stays').toEqual([IPV4.dst]);
  });

  it('brings the sessions of both families back on an interface that was removed and made again', async () => {
    const agents = await startBoth();
    const marks = agents.map((agent) => agent.events.length);
    lab.removeLink();
    await Promise.all(agents.map((agent, index) => agent.state('down', marks[index])));
    await pause(300);
    lab.makeLink();
    lab.addIPv6();
    lab.addLinkLocal();
    await Promise.all(agents.map((agent, index) => each(WAYS, (way) => agent.event(ofWay(isAdd, way), marks[index]))));
    for (const { host } of agents) expect(installed(host)).toEqual(dsts(WAYS));
  });

  it.each(['liveness', 'bfd'])(
    'brings link-local sessions of the JavaScript engine back on an interface that was removed and made again: %s',
    async (protocol) => {
      const config = { bindIP: '::', engine: 'js', protocol, ...(protocol === 'bfd' ? { minTtl: 1 } : {}) };
      const agents = await Promise.all([lab.one, lab.two].map((host) => Agent.start(lab, host, config)));
      for (const agent of agents) await register(agent, LINK_LOCAL);
      await Promise.all(agents.map((agent) => agent.event(isAdd)));
      const marks = agents.map((agent) => agent.events.length);
      lab.removeLink();
      await Promise.all(agents.map((agent, index) => agent.state('down', marks[index])));
      lab.makeLink();
      lab.addLinkLocal();
      await Promise.all(agents.map((agent, index) => agent.event(isAdd, marks[index])));
      for (const { host } of agents) expect(installed(host)).toEqual([LINK_LOCAL.dst]);
    },
  );
});
