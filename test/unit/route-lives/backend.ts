/** A backend that acts at any moment before its answer, which may come late, or be an error although it acted. */
import { NetlinkRoutes, type PlacedRoute, type Route, type RouteReaderWriter } from '../../../ts/index.js';
import { formatSlot } from '../../../ts/base/route.js';
import type { Chance } from './chance.js';
import type { Tables } from './tables.js';

/** Calls take up to so long, in milliseconds: beyond any time-out. */
const SLOWEST_MS = 8_000;

export class Faults {
  /** Of a hundred calls so many are slow, and so many fail. */
  slow = 0;
  fail = 0;
}

/** @param abilities which of the optional methods there are */
export function backendOf(tables: Tables, faults: Faults, chance: Chance, abilities: readonly string[]): RouteReaderWriter {
  const call = async <T>(act: () => T): Promise<T> => {
    const duration = chance.upTo(99) < faults.slow ? chance.upTo(SLOWEST_MS) : chance.upTo(2);
    const fails = chance.upTo(99) < faults.fail;
    const acts = !fails || chance.of(2);
    let acted: { readonly result: T } | undefined;
    const before = chance.upTo(duration);
    await pause(before);
    if (acts) acted = { result: act() };
    await pause(duration - before);
    if (fails || acted === undefined) throw new Error('the backend is at fault');
    return acted.result;
  };
  const add = (placed: PlacedRoute): void => {
    if (!tables.add(placed)) throw Object.assign(new Error('occupied'), { code: 'ERR_ROUTE_CONFLICT' });
  };
  const methods: Record<string, unknown> = {
    routeAdd: (route: Route, iface?: string) => call(() => add({ route, iface })),
    routeDelete: (route: Route, iface?: string) =>
      call(() => {
        tables.delete({ route, iface });
        // Armed routes hear of it from the kernel.
        tables.onForeignChange(formatSlot(route));
      }),
    routeByProtocol: (protocol: number) => call(() => tables.list(protocol).map(({ route }) => route)),
    placedRoutes: (protocol: number) => call(() => tables.list(protocol)),
    routeReplace: (former: PlacedRoute, placed: PlacedRoute) =>
      call(() => {
        add(placed);
        tables.delete(former);
      }),
    routeHolds: (placed: PlacedRoute) => call(() => tables.holds(placed)),
    watchRoutes: (watcher: Parameters<Tables['watch']>[0]) => tables.watch(watcher),
  };
  const optional = ['routeReplace', 'routeHolds', 'watchRoutes'];
  const there = Object.entries(methods).filter(([name]) => !optional.includes(name) || abilities.includes(name));
  return Object.fromEntries(there) as unknown as RouteReaderWriter;
}

/** As the kernel's own backend, so that its routes are armed. */
export function asKernel(backend: RouteReaderWriter): RouteReaderWriter {
  const own = { ...backend, checkAccess: () => undefined, takeOver: false };
  return Object.create(NetlinkRoutes.prototype, Object.getOwnPropertyDescriptors(own)) as RouteReaderWriter;
}

function pause(milliseconds: number): Promise<void> {
  return milliseconds === 0 ? Promise.resolve() : new Promise((resolve) => setTimeout(resolve, milliseconds));
}
