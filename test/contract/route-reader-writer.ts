/** What every routing backend has to do: one suite, many implementations. */
import { describe, expect, it } from 'vitest';

import type { Route, RouteReaderWriter } from '../../ts/index.js';

/** A backend with empty tables, and the addresses that its routes can use. */
export interface BackendUnderTest {
  readonly routes: RouteReaderWriter;
  readonly src: string;
  readonly nextHop: string;
  readonly otherNextHop: string;
}

const OURS = 186;
const THEIRS = 187;

export type Family = 'IPv4' | 'IPv6';

/** What the routes of a family lead to, what no route leads to, and the source of a route without one. */
const DESTINATIONS = {
  IPv4: { host: '10.77.0.1/32', network: '10.77.8.0/24', invalid: '10.77.0.1/24', noSource: '0.0.0.0' },
  IPv6: { host: '2001:db8:77::1/128', network: '2001:db8:77:8::/64', invalid: '2001:db8:77::1/64', noSource: '::' },
} as const;

export function routeReaderWriterContract(
  name: string,
  withBackend: (test: (backend: BackendUnderTest) => Promise<void>, family: Family, options?: { takeOver: boolean }) => Promise<void>,
): void {
  describe.each(['IPv4', 'IPv6'] as const)(`the contract of a routing backend: ${name}, routes of %s`, (family) => {
    const { host, network, invalid, noSource } = DESTINATIONS[family];
    type Test = (backend: BackendUnderTest, route: (changes?: Partial<Route>) => Route) => Promise<void>;
    const check = (effect: string, test: Test, options?: { takeOver: boolean }): void => {
      const withRoutes = (backend: BackendUnderTest): Promise<void> => {
        const { src, nextHop } = backend;
        return test(backend, (changes = {}) => ({ table: 254, dst: host, src, nextHop, protocol: OURS, ...changes }));
      };
      it(effect, () => withBackend(withRoutes, family, options));
    };

    check('what was added is listed under its protocol, with every field', async ({ routes }, route) => {
      const wanted = [route(), route({ table: 100 }), route({ priority: 50 }), route({ table: 70_000, dst: network })];
      for (const it of wanted) await routes.routeAdd(it);
      const listed = await routes.routeByProtocol(OURS);
      expect(sorted(listed)).toEqual(sorted(wanted));
      expect(await routes.routeByProtocol(THEIRS)).toEqual([]);
    });

    check('adding twice and deleting twice is no error', async ({ routes }, route) => {
      await routes.routeAdd(route());
      await routes.routeAdd(route());
      expect(await routes.routeByProtocol(OURS)).toHaveLength(1);
      await routes.routeDelete(route());
      await routes.routeDelete(route());
      expect(await routes.routeByProtocol(OURS)).toEqual([]);
    });

    check('a route of our own protocol in the slot is replaced', async ({ routes, otherNextHop }, route) => {
      await routes.routeAdd(route());
      await routes.routeAdd(route({ nextHop: otherNextHop }));
      expect((await routes.routeByProtocol(OURS)).map((it) => it.nextHop)).toEqual([otherNextHop]);
    });

    check('a route of another protocol in the slot is a conflict and stays as it is', async ({ routes }, route) => {
      await routes.routeAdd(route({ protocol: THEIRS }));
      await expect(call(() => routes.routeAdd(route()))).rejects.toMatchObject({ code: 'ERR_ROUTE_CONFLICT' });
      await routes.routeDelete(route());
      expect(await routes.routeByProtocol(THEIRS)).toHaveLength(1);
      expect(await routes.routeByProtocol(OURS)).toEqual([]);
    });

    check('another priority or another table is another slot', async ({ routes }, route) => {
      await routes.routeAdd(route({ protocol: THEIRS }));
      await routes.routeAdd(route({ priority: 10 }));
      await routes.routeAdd(route({ table: 100 }));
      expect(await routes.routeByProtocol(OURS)).toHaveLength(2);
      await routes.routeDelete(route({ priority: 10 }));
      await routes.routeDelete(route({ table: 100 }));
      expect(await routes.routeByProtocol(OURS)).toEqual([]);
      expect(await routes.routeByProtocol(THEIRS)).toHaveLength(1);
    });

    check('deleting a route that is not there leaves one alone that differs in its priority only', async ({ routes }, route) => {
      await routes.routeAdd(route({ priority: 10 }));
      await routes.routeDelete(route());
      expect(await routes.routeByProtocol(OURS)).toEqual([route({ priority: 10 })]);
    });

    check('the default priority of the family is the same slot as none, and is listed as none', async ({ routes, otherNextHop }, route) => {
      const priority = family === 'IPv6' ? 1024 : 0;
      await routes.routeAdd(route());
      await routes.routeAdd(route({ priority, nextHop: otherNextHop }));
      const listed = await routes.routeByProtocol(OURS);
      expect(listed.map((it) => it.nextHop)).toEqual([otherNextHop]);
      if (family === 'IPv6') expect(listed).toEqual([route({ nextHop: otherNextHop })]);
      await routes.routeDelete(route({ priority, nextHop: otherNextHop }));
      expect(await routes.routeByProtocol(OURS)).toEqual([]);
    });

    check('addresses of two families in one route are refused and touch nothing', async ({ routes }, route) => {
      const mixed = route({ nextHop: family === 'IPv6' ? '10.0.0.2' : '2001:db8::2' });
      await expect(call(() => routes.routeAdd(mixed))).rejects.toMatchObject({ code: 'ERR_INVALID_ROUTE' });
      expect(await routes.routeByProtocol(OURS)).toEqual([]);
    });

    const takesOver = async ({ routes }: BackendUnderTest, route: (changes?: Partial<Route>) => Route): Promise<void> => {
      await routes.routeAdd(route({ protocol: THEIRS }));
      await routes.routeAdd(route());
      expect(await routes.routeByProtocol(THEIRS)).toEqual([]);
      expect(await routes.routeByProtocol(OURS)).toHaveLength(1);
    };
    check('whoever takes over replaces what is there', takesOver, { takeOver: true });

    check('deletion with another next hop deletes nothing', async ({ routes, otherNextHop }, route) => {
      await routes.routeAdd(route());
      await routes.routeDelete(route({ nextHop: otherNextHop }));
      expect(await routes.routeByProtocol(OURS)).toHaveLength(1);
    });

    check('a route is deleted whatever its source is said to be, also none', async ({ routes }, route) => {
      await routes.routeAdd(route());
      await routes.routeDelete(route({ src: noSource }));
      expect(await routes.routeByProtocol(OURS)).toEqual([]);
    });

    check('what is no route is refused with its field and touches nothing', async ({ routes }, route) => {
      const bad = route({ dst: invalid });
      await expect(call(() => routes.routeAdd(bad))).rejects.toMatchObject({ code: 'ERR_INVALID_ROUTE' });
      await expect(call(() => routes.routeDelete(bad))).rejects.toThrow(/route\.dst/);
      expect(await routes.routeByProtocol(OURS)).toEqual([]);
    });
  });
}

/** A backend may throw at once or reject: the same to its user. */
async function call(operation: () => void | Promise<void>): Promise<void> {
  await operation();
}

function sorted(routes: readonly Route[]): Route[] {
  return [...routes].sort((one, other) => JSON.stringify(one).localeCompare(JSON.stringify(other)));
}
