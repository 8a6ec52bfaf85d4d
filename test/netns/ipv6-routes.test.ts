/** What differs in the kernel's IPv6 tables: siblings, priorities, sources that are taken away, notices of links and addresses. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import type { PlacedRoute, Route } from '../../ts/index.js';
import { Agent, pause } from './agent.js';
import { run } from './command.js';
import { cannotRun, Lab } from './lab.js';

const OURS = '186';
const THEIRS = '42';
const DST = '2001:db8:9::2/128';
const OTHER_HOP = '2001:db8:201::3';
const PATIENCE_MS = 15_000;

/** An IPv6 route as `ip -j` lists it: through one gateway, or through several. */
interface Listed {
  readonly protocol: string;
  readonly gateway?: string;
  readonly metric: number;
  readonly prefsrc?: string;
  readonly nexthops?: readonly { readonly gateway: string }[];
}

describe.skipIf(cannotRun())('NetlinkRoutes with an IPv6 route', () => {
  let lab: Lab;
  let agent: Agent;
  let ours: Route;

  const start = async (options = {}): Promise<void> => {
    agent = new Agent(lab, lab.one);
    await agent.call('backend', options);
    await agent.call('watch');
  };

  beforeEach(async () => {
    lab = new Lab();
    lab.addIPv6();
    ours = { table: 254, dst: DST, src: lab.one.addressIPv6, nextHop: lab.two.addressIPv6, protocol: Number(OURS) };
    await start();
  });

  afterEach(() => {
    lab.close();
  });

  const ip = (...args: string[]): string => run('ip', ['-n', lab.one.name, '-6', ...args]);
  const add = (route = ours): Promise<void> => agent.call('routeAdd', route, lab.one.iface);
  const remove = (route = ours): Promise<void> => agent.call('routeDelete', route, lab.one.iface);
  const replace = (previous: Route, route: Route): Promise<void> =>
    agent.call('routeReplace', { route: previous, iface: lab.one.iface }, { route, iface: lab.one.iface });
  const holds = (route = ours): Promise<boolean> => agent.call('routeHolds', { route, iface: lab.one.iface });
  const listed = (): Promise<Route[]> => agent.call('routeByProtocol', Number(OURS));
  /** The contents of the slot's prefix: of each route its gateways. */
  const tables = (table = 'main'): Listed[] => JSON.parse(ip('-j', '-N', 'route', 'show', DST, 'table', table) || '[]') as Listed[];
  const gateways = (table = 'main'): string[] =>
    tables(table).flatMap(({ gateway, nexthops }) => (gateway === undefined ? (nexthops ?? []).map((hop) => hop.gateway) : [gateway]));
  const their = (how: string, nextHop = OTHER_HOP): string => ip('route', how, DST, 'via', nextHop, 'dev', lab.one.iface, 'proto', THEIRS);
  const loss = async (from = 0): Promise<string> => (await agent.event(({ event }) => event === 'loss', from)).how ?? 'none';
  const until = async (what: string, holds: () => boolean | Promise<boolean>): Promise<void> => {
    const deadline = Date.now() + PATIENCE_MS;
    while (!(await holds())) {
      if (Date.now() > deadline) throw new Error(`not in time: ${what}; ${ip('route', 'show', 'table', 'all')}`);
      await pause(20);
    }
  };

  it('adds it with priority 1024 where none is given, and names its interface in the listing', async () => {
    await add();
    expect(tables()).toMatchObject([{ protocol: OURS, metric: 1024, gateway: ours.nextHop, prefsrc: ours.src }]);
    const placed = await agent.call<PlacedRoute[]>('placedRoutes', Number(OURS));
    expect(placed).toEqual([{ route: ours, iface: lab.one.iface }]);
    await remove({ ...ours, priority: 1024 });
    expect(tables()).toEqual([]);
  });

  it('deletes it alone although another program appended a route to its slot, which the kernel lists with it as one', async () => {
    await add();
    their('append');
    expect(gateways()).toEqual([ours.nextHop, OTHER_HOP]);
    expect(await holds()).toBe(true);
    expect(await listed()).toEqual([ours]);
    await remove();
    expect(tables()).toMatchObject([{ protocol: THEIRS, gateway: OTHER_HOP }]);
    expect(await holds()).toBe(false);
  });

  it('never lists a route of another program that has the first of the slot as a sibling', async () => {
    their('add');
    ip('route', 'append', DST, 'via', '2001:db8:201::4', 'dev', lab.one.iface, 'proto', OURS);
    expect(await listed()).toEqual([]);
    await expect(add()).rejects.toMatchObject({ code: 'ERR_ROUTE_CONFLICT' });
    expect(gateways()).toEqual([OTHER_HOP, '2001:db8:201::4']);
  });

  it('takes a route through several gateways for a conflict, also one with our protocol number', async () => {
    const hop = (gateway: string): string[] => ['nexthop', 'via', gateway, 'dev', lab.one.iface];
    ip('route', 'add', DST, 'proto', OURS, ...hop('2001:db8:201::4'), ...hop('2001:db8:201::5'));
    await expect(add()).rejects.toMatchObject({ code: 'ERR_ROUTE_CONFLICT' });
    expect(gateways()).toHaveLength(2);
  });

  it.each(['254', '100'])('replaces the next hop in table %s, and leaves one route', async (table) => {
    const [old, next] = [
      { ...ours, table: Number(table) },
      { ...ours, table: Number(table), nextHop: OTHER_HOP },
    ];
    await add(old);
    await replace(old, next);
    expect(gateways(table)).toEqual([OTHER_HOP]);
    expect([await holds(next), await holds(old)]).toEqual([true, false]);
    await add(old);
    expect(gateways(table)).toEqual([ours.nextHop]);
  });

  it.each(['254', '100'])('replaces the source in table %s, although the kernel takes no second route through a gateway', async (table) => {
    ip('addr', 'add', '2001:db8:201::11/64', 'dev', lab.one.iface, 'nodad');
    const [old, next] = [
      { ...ours, table: Number(table) },
      { ...ours, table: Number(table), src: '2001:db8:201::11' },
    ];
    await add(old);
    await replace(old, next);
    expect(tables(table)).toMatchObject([{ gateway: ours.nextHop, prefsrc: next.src }]);
    await add(old);
    expect(tables(table)).toMatchObject([{ gateway: ours.nextHop, prefsrc: old.src }]);
    await expect(replace(old, { ...old, src: '2001:db8:201::99' })).rejects.toMatchObject({ code: 'EINVAL' });
    expect(tables(table), 'the old route is put back').toMatchObject([{ gateway: ours.nextHop, prefsrc: old.src }]);
  });

  it('replaces it beside a route that another program appended, which stays', async () => {
    await add();
    their('append');
    const next = { ...ours, nextHop: '2001:db8:201::4' };
    await replace(ours, next);
    expect(gateways()).toEqual([OTHER_HOP, next.nextHop]);
    expect(await holds(next)).toBe(true);
    await remove(next);
    expect(tables()).toMatchObject([{ protocol: THEIRS }]);
  });

  it('takes a router advertisement’s route in the slot for a conflict, and takes over only where that is asked for', async () => {
    ip('route', 'add', 'default', 'via', 'fe80::99', 'dev', lab.one.iface, 'proto', 'ra', 'expires', '600');
    const route = { ...ours, dst: '::/0' };
    await expect(add(route)).rejects.toMatchObject({ code: 'ERR_ROUTE_CONFLICT' });
    expect(ip('route', 'show', 'default')).toContain('proto ra');
    await start({ takeOver: true });
    await add(route);
    expect(await listed()).toEqual([route]);
    expect(ip('route', 'show', 'default')).not.toContain('proto ra');
  });

  it('takes over a slot from a route through a gateway', async () => {
    their('add');
    await start({ takeOver: true });
    await add();
    expect(tables()).toMatchObject([{ protocol: OURS, gateway: ours.nextHop }]);
  });

  it('leads through a link-local next hop only where the interface is named', async () => {
    const route = { ...ours, nextHop: 'fe80::2' };
    await expect(agent.call('routeAdd', route)).rejects.toMatchObject({ code: 'EINVAL' });
    await add(route);
    expect(await listed()).toEqual([route]);
    expect(await holds(route)).toBe(true);
    await remove(route);
    expect(tables()).toEqual([]);
  });

  it.each([
    { what: 'a next hop that is not on the link', changes: { nextHop: '2001:db8:999::1' }, code: 'EHOSTUNREACH' },
    { what: 'a next hop that is an address of this host', changes: { nextHop: '2001:db8:201::1' }, code: 'EINVAL' },
    { what: 'a source that no interface has', changes: { src: '2001:db8:201::99' }, code: 'EINVAL' },
  ])('fails with the code of the system for $what, and adds nothing', async ({ changes, code }) => {
    await expect(add({ ...ours, ...changes })).rejects.toMatchObject({ code });
    expect(tables()).toEqual([]);
  });

  it('fails while its source is tentative', async () => {
    run('ip', ['netns', 'exec', lab.one.name, 'sysctl', '-qw', `net.ipv6.conf.${lab.one.iface}.dad_transmits=600`]);
    ip('addr', 'add', '2001:db8:201::12/64', 'dev', lab.one.iface);
    expect(ip('addr', 'show', 'tentative')).toContain('2001:db8:201::12');
    await expect(add({ ...ours, src: '2001:db8:201::12' })).rejects.toMatchObject({ code: 'EINVAL' });
    expect(tables()).toEqual([]);
  });

  it.each([
    { how: 'deletes it', act: () => ip('route', 'del', DST, 'proto', OURS) },
    { how: 'replaces it', act: () => their('replace') },
    { how: 'deletes it with a sibling', act: () => [their('append'), ip('route', 'del', DST)] },
  ])('reports it as taken when another program $how', async ({ act }) => {
    await add();
    act();
    expect(await loss()).toBe('taken');
    expect(await holds()).toBe(false);
  });

  it('reports it as dropped when its link goes down, and adds it again when the link is back', async () => {
    await add();
    ip('link', 'set', lab.one.iface, 'down');
    expect(await loss()).toBe('dropped');
    expect(tables()).toEqual([]);
    ip('link', 'set', lab.one.iface, 'up');
    ip('addr', 'add', `${lab.one.addressIPv6}/64`, 'dev', lab.one.iface, 'nodad');
    await add();
    expect(await holds()).toBe(true);
  });

  it('reports it as dropped when its source leaves the host, and deletes what the kernel leaves of it', async () => {
    ip('addr', 'add', '2001:db8:201::11/64', 'dev', lab.one.iface, 'nodad');
    const route = { ...ours, src: '2001:db8:201::11' };
    await add(route);
    ip('addr', 'del', '2001:db8:201::11/64', 'dev', lab.one.iface);
    expect(await loss()).toBe('dropped');
    expect(gateways(), 'the kernel leaves the route without its source').toEqual([route.nextHop]);
    expect(tables()[0]).not.toHaveProperty('prefsrc');
    await remove(route);
    expect(tables()).toEqual([]);
  });

  it('restores the source of what the kernel left when the address is back', async () => {
    ip('addr', 'add', '2001:db8:201::11/64', 'dev', lab.one.iface, 'nodad');
    const route = { ...ours, src: '2001:db8:201::11' };
    await add(route);
    ip('addr', 'del', '2001:db8:201::11/64', 'dev', lab.one.iface);
    await loss();
    ip('addr', 'add', '2001:db8:201::11/64', 'dev', lab.one.iface, 'nodad');
    await add(route);
    expect(tables()).toMatchObject([{ gateway: route.nextHop, prefsrc: route.src }]);
  });

  it('reports no loss when the link loses its carrier, as the kernel keeps the route', async () => {
    await add();
    run('ip', ['-n', lab.two.name, 'link', 'set', lab.two.iface, 'down']);
    await until('the loss of the carrier', () => ip('route', 'show', DST).includes('linkdown'));
    expect(await holds()).toBe(true);
    // Notices come in the order of the changes: whatever the carrier's would have led to is there with the next loss.
    ip('route', 'del', DST, 'proto', OURS);
    expect(await loss()).toBe('taken');
    expect(agent.events.filter(({ event }) => event === 'loss')).toHaveLength(1);
  });

  it('is listed beside the IPv4 routes of the same protocol number', async () => {
    const ipv4 = { table: 254, dst: '10.9.0.2/32', src: lab.one.address, nextHop: lab.two.address, protocol: Number(OURS) };
    await add(ipv4);
    await add();
    expect(await listed()).toEqual([ipv4, ours]);
    await remove();
    expect(await listed()).toEqual([ipv4]);
  });
});
