/** Routes that hang on next-hop objects, in the tables of a real kernel. */
import { afterEach, beforeEach, expect, it } from 'vitest';

import type { Route } from '../../ts/index.js';
import { Agent, type AgentEvent, isAdd, isDelete, pause, serviceRoute } from './agent.js';
import { run } from './command.js';
import { describeLab, Lab } from './lab.js';

const FIRST = 7_000;
const OBJECTS = { firstId: FIRST, lastId: FIRST + 99 };
const COUNT = 20;
/** More than two objects carry. */
const MOST_ON_ONE = 4_096;
const MANY = 2 * MOST_ON_ONE + 52;

interface ListedObject {
  readonly id: number;
  readonly gateway?: string;
}

for (const addressing of ['IPv4', 'IPv6'] as const) {
  describeLab(`routes of ${addressing} on next-hop objects`, [], () => {
    let lab: Lab;
    let one: Agent;
    let two: Agent;
    const elsewhere = (): string => `${lab.two.address}7`;

    const ip = (...args: string[]): string => run('ip', ['-n', lab.one.name, ...args]);
    const objects = (): ListedObject[] => JSON.parse(ip('-j', 'nexthop', 'show') || '[]') as ListedObject[];
    const idOf = (gateway: string): number | undefined => objects().find((object) => object.gateway === gateway)?.id;
    const gateways = (): string[] => [...new Set(lab.routes(lab.one).map(({ gateway }) => gateway ?? ''))];

    /** Several routes through the other host, with one session. */
    const routes = (count = COUNT, noUninstall = false): Route[] =>
      Array.from({ length: count }, (_, index) => serviceRoute(lab, lab.one, { priority: 100 + index, noUninstall }));
    const all = async (fits: (event: AgentEvent) => boolean, from: number, count = COUNT): Promise<void> => {
      await expect.poll(() => one.events.slice(from).filter(fits).length, { timeout: 10_000 }).toBeGreaterThanOrEqual(count);
    };
    const start = async (options: Record<string, unknown> = {}, count = COUNT, noUninstall = false): Promise<void> => {
      one = await Agent.start(lab, lab.one, { nextHopObjects: OBJECTS });
      two = await Agent.start(lab, lab.two);
      const registrations = routes(count, noUninstall).map((route) => ({
        route,
        iface: lab.one.iface,
        peerIP: lab.two.address,
        ...options,
      }));
      await one.call('registerRoutes', registrations);
      await two.register(serviceRoute(lab, lab.two), { peerIP: lab.one.address });
      await all(isAdd, 0, count);
    };
    /** How many routes hang on each object. */
    const perObject = (): number[] => {
      const counts = new Map<string, number>();
      for (const [, id = ''] of ip(addressing === 'IPv4' ? '-4' : '-6', 'route', 'show', 'proto', '186').matchAll(/nhid (\d+)/g)) {
        counts.set(id, (counts.get(id) ?? 0) + 1);
      }
      return [...counts.values()].sort((a, b) => b - a);
    };

    beforeEach(() => {
      lab = new Lab({ addressing });
    });

    afterEach(() => {
      lab.close();
    });

    it('go with one object when their session goes Down, come back with it, and leave no object behind', async () => {
      await start();
      expect(objects()).toMatchObject([{ id: FIRST, gateway: lab.two.address }]);
      expect(lab.routes(lab.one)).toHaveLength(COUNT);
      const monitor = lab.spawn(lab.one, 'ip', ['monitor', 'nexthop']);
      let told = '';
      monitor.stdout?.on('data', (text: Buffer) => (told += text.toString()));
      await pause(300);
      let mark = one.events.length;
      lab.cutBoth();
      await all(isDelete, mark);
      expect([lab.routes(lab.one), objects()]).toEqual([[], []]);
      await expect.poll(() => told.match(/Deleted id/g)).toHaveLength(1);
      mark = one.events.length;
      lab.healBoth();
      await all(isAdd, mark);
      expect(lab.routes(lab.one)).toHaveLength(COUNT);
      for (const route of routes()) await one.call('withdrawRoute', route, lab.one.iface);
      await expect.poll(objects).toEqual([]);
    });

    it('move to their backup and back with one change of the object', async () => {
      await start({ backup: { nextHop: elsewhere(), iface: lab.one.iface } });
      const id = idOf(lab.two.address);
      let mark = one.events.length;
      lab.cutBoth();
      await all((event) => isAdd(event) && event.leg === 'backup', mark);
      expect(gateways()).toEqual([elsewhere()]);
      expect(idOf(elsewhere())).toBe(id);
      mark = one.events.length;
      lab.healBoth();
      await all((event) => isAdd(event) && event.leg === 'primary', mark);
      expect(gateways()).toEqual([lab.two.address]);
      expect(idOf(lab.two.address)).toBe(id);
      expect(lab.routes(lab.one)).toHaveLength(COUNT);
    });

    it('hang on several objects where there are more than 4 096, go and come back with all of them', async () => {
      await start({}, MANY);
      expect([perObject(), objects().length]).toEqual([[MOST_ON_ONE, MOST_ON_ONE, 52], 3]);
      let mark = one.events.length;
      lab.cutBoth();
      await all(isDelete, mark, MANY);
      expect([perObject(), objects()]).toEqual([[], []]);
      mark = one.events.length;
      lab.healBoth();
      await all(isAdd, mark, MANY);
      expect(perObject()).toEqual([MOST_ON_ONE, MOST_ON_ONE, 52]);
      await Promise.all(routes(MANY).map((route) => one.call('withdrawRoute', route, lab.one.iface)));
      await expect.poll(() => [perObject(), objects()]).toEqual([[], []]);
    });

    it('move to their backup and back with several objects where there are more than 4 096', async () => {
      await start({ backup: { nextHop: elsewhere(), iface: lab.one.iface } }, MANY);
      const idsOver = (gateway: string): number[] =>
        objects()
          .filter((object) => object.gateway === gateway)
          .map(({ id }) => id);
      const ids = idsOver(lab.two.address);
      for (const [leg, act, gateway] of [
        ['backup', () => lab.cutBoth(), elsewhere()],
        ['primary', () => lab.healBoth(), lab.two.address],
      ] as const) {
        const mark = one.events.length;
        act();
        await all((event) => isAdd(event) && event.leg === leg, mark, MANY);
        expect([gateways(), idsOver(gateway), perObject()]).toEqual([[gateway], ids, [MOST_ON_ONE, MOST_ON_ONE, 52]]);
      }
    });

    for (const engine of addressing === 'IPv4' ? (['native', 'js'] as const) : (['native'] as const)) {
      it(`let a sweep with the ${engine} engine delete the objects of a predecessor that nothing uses, and none else`, async () => {
        const prefix = addressing === 'IPv4' ? '198.51.100.0/24' : '2001:db8:ffff::/64';
        const make = (id: number, protocol = 186): string =>
          ip('nexthop', 'add', 'id', String(id), 'via', elsewhere(), 'dev', lab.one.iface, 'proto', String(protocol));
        const [unused, ofOther, used, member, outside, last] = [FIRST + 5, FIRST + 6, FIRST + 7, FIRST + 8, FIRST - 1, FIRST + 99];
        [unused, used, member, outside, last].forEach((id) => make(id));
        make(ofOther, 42);
        ip('nexthop', 'add', 'id', '900', 'group', String(member));
        ip('route', 'add', prefix, 'nhid', String(used), 'proto', '42');
        const before = new Map(objects().map((object) => [object.id, object]));
        one = await Agent.start(lab, lab.one, { nextHopObjects: OBJECTS, engine });
        two = await Agent.start(lab, lab.two);
        const [route] = routes();
        if (route === undefined) return;
        await one.register(route, { peerIP: lab.two.address });
        await two.register(serviceRoute(lab, lab.two), { peerIP: lab.one.address });
        await one.event(isAdd);
        await one.call('sweepRoutes', { protocol: 186, table: 254, dryRun: true });
        expect(objects().filter(({ id }) => before.has(id))).toHaveLength(before.size);
        await one.call('sweepRoutes', { protocol: 186, table: 254 });
        const kept = objects().filter(({ id }) => before.has(id));
        expect(kept).toEqual([900, outside, ofOther, used, member].map((id) => before.get(id)));
        expect(idOf(lab.two.address)).toBe(engine === 'native' ? FIRST : undefined);
        expect(ip(addressing === 'IPv4' ? '-4' : '-6', 'route', 'show', prefix)).toContain(`nhid ${used}`);
      });
    }

    /** Routes that are never deleted are registered and withdrawn: they stay, on one object. */
    const leave = async (): Promise<Route[]> => {
      await start({}, 2, true);
      const left = routes(2, true);
      for (const route of left) await one.call('withdrawRoute', route, lab.one.iface);
      expect(await one.sessions()).toEqual([]);
      return left;
    };
    /** Registers a route again, and waits until it is on its new object alone. */
    const registerAgain = async (route: Route): Promise<void> => {
      const mark = one.events.length;
      await one.register(route, { peerIP: lab.two.address });
      await one.event(isAdd, mark);
      const ofRoute = (): string => ip(addressing === 'IPv4' ? '-4' : '-6', 'route', 'show', 'metric', String(route.priority));
      await expect.poll(() => [...ofRoute().matchAll(/nhid (\d+)/g)].map(([, id]) => Number(id))).toEqual([FIRST + 1]);
    };

    it('go when the last of the routes that were left on them is registered again', async () => {
      const [first, second] = await leave();
      if (first === undefined || second === undefined) return;
      const left = objects();
      expect([left, perObject()]).toMatchObject([[{ id: FIRST }], [2]]);
      await registerAgain(first);
      await pause(500);
      expect([objects()[0], perObject()]).toEqual([left[0], [1, 1]]);
      await registerAgain(second);
      await expect.poll(() => objects().map(({ id }) => id)).toEqual([FIRST + 1]);
      expect(perObject()).toEqual([2]);
    });

    // What follows is the same in both families.
    if (addressing === 'IPv6') return;

    it('stay where somebody has taken them into a group, although no route is left on them', async () => {
      const left = await leave();
      const [object] = objects();
      ip('nexthop', 'add', 'id', '900', 'group', String(FIRST));
      for (const route of left) await registerAgain(route);
      await pause(500);
      expect(objects().filter(({ id }) => id === FIRST)).toEqual([object]);
    });

    it('skip the numbers that others hold, and leave those objects as they are', async () => {
      ip('nexthop', 'add', 'id', String(FIRST), 'via', elsewhere(), 'dev', lab.one.iface, 'proto', '42');
      await start();
      expect(idOf(lab.two.address)).toBe(FIRST + 1);
      expect(lab.routes(lab.one)).toHaveLength(COUNT);
      const mark = one.events.length;
      lab.cutBoth();
      await all(isDelete, mark);
      expect(objects()).toMatchObject([{ id: FIRST, gateway: elsewhere() }]);
    });

    it('are put back with their object when somebody deletes it', async () => {
      await start();
      ip('nexthop', 'del', 'id', String(FIRST));
      await expect.poll(() => lab.routes(lab.one).length, { timeout: 10_000 }).toBe(COUNT);
      expect(idOf(lab.two.address)).toBe(FIRST);
    });

    it('move, go, come back and are taken over where the kernel lists routes with their object alone', async () => {
      run('ip', ['netns', 'exec', lab.one.name, 'sysctl', '-qw', 'net.ipv4.nexthop_compat_mode=0']);
      const backup = { nextHop: elsewhere(), iface: lab.one.iface };
      await start({ backup });
      let mark = one.events.length;
      lab.cutBoth();
      await all((event) => isAdd(event) && event.leg === 'backup', mark);
      expect(idOf(elsewhere())).toBe(FIRST);
      mark = one.events.length;
      lab.healBoth();
      await all((event) => isAdd(event) && event.leg === 'primary', mark);
      expect([lab.routes(lab.one).length, idOf(lab.two.address)]).toEqual([COUNT, FIRST]);
      await one.kill();
      one = await Agent.start(lab, lab.one, { nextHopObjects: OBJECTS });
      const [kept] = routes();
      if (kept === undefined) return;
      await one.register(kept, { peerIP: lab.two.address });
      expect(await one.call('adoptRoutes', { protocol: 186, table: 254 })).toHaveLength(1);
      await expect.poll(async () => (await one.sessions())[0]?.state).toBe('up');
      await one.call('sweepRoutes', { protocol: 186, table: 254 });
      expect([lab.routes(lab.one).length, idOf(lab.two.address)]).toEqual([1, FIRST]);
      mark = one.events.length;
      lab.cutBoth();
      await one.event(isDelete, mark);
      expect(lab.routes(lab.one)).toEqual([]);
    });

    it('are taken over, and swept, when a process has left them', async () => {
      await start();
      await one.kill();
      expect(lab.routes(lab.one)).toHaveLength(COUNT);
      one = await Agent.start(lab, lab.one, { nextHopObjects: OBJECTS });
      const [kept] = routes();
      if (kept === undefined) return;
      await one.register(kept, { peerIP: lab.two.address });
      await one.event(isAdd);
      await one.call('sweepRoutes', { protocol: 186, table: 254 });
      expect(lab.routes(lab.one)).toHaveLength(1);
    });

    it('keep the routes of another session, whose object they were given after a restart in another order', async () => {
      const second = elsewhere();
      lab.addAddress(lab.two, second, 24);
      const register = (peerIP: string, first: number): Promise<void> => {
        const routes = [first, first + 1].map((priority) => serviceRoute(lab, lab.one, { priority }));
        return one.call(
          'registerRoutes',
          routes.map((route) => ({ route, iface: lab.one.iface, peerIP })),
        );
      };
      one = await Agent.start(lab, lab.one, { nextHopObjects: OBJECTS });
      two = await Agent.start(lab, lab.two);
      const other = await Agent.start(lab, lab.two, { bindIP: second });
      await two.register(serviceRoute(lab, lab.two), { peerIP: lab.one.address });
      await other.register(serviceRoute(lab, lab.two, { src: second, priority: 7 }), { peerIP: lab.one.address });
      await register(lab.two.address, 100);
      await register(second, 200);
      await all(isAdd, 0, 4);
      expect(perObject()).toEqual([2, 2]);
      await one.kill();
      one = await Agent.start(lab, lab.one, { nextHopObjects: OBJECTS });
      await register(second, 200);
      await all(isAdd, 0, 2);
      await expect.poll(perObject).toEqual([4]);
      const mark = one.events.length;
      await other.kill();
      await all(isDelete, mark, 2);
      expect([lab.routes(lab.one).map(({ metric }) => metric), perObject()]).toEqual([[100, 101], [2]]);
    });

    it('take over routes that a process left on none, tell them as installed, and have them before their session is Up', async () => {
      const route = serviceRoute(lab, lab.one);
      one = await Agent.start(lab, lab.one);
      two = await Agent.start(lab, lab.two);
      await one.register(route, { peerIP: lab.two.address });
      await two.register(serviceRoute(lab, lab.two), { peerIP: lab.one.address });
      await one.event(isAdd);
      await one.kill();
      lab.cutBoth();
      one = await Agent.start(lab, lab.one, { nextHopObjects: OBJECTS });
      await one.register(route, { peerIP: lab.two.address });
      expect(await one.call('adoptRoutes', { protocol: 186, table: 254 })).toHaveLength(1);
      const [session] = await one.sessions();
      expect([session?.state === 'up', session?.routes[0]?.installed]).toEqual([false, true]);
      const listed = (): string => ip('route', 'show', 'proto', '186');
      await expect.poll(() => [listed().includes(`nhid ${FIRST}`), listed().trim().split('\n').length]).toEqual([true, 1]);
      // The session does not come Up.
      await expect.poll(listed, { timeout: 10_000 }).toBe('');
    });
  });
}
