/** The numbers of routes in statistics and metrics. They are kept as registrations and sessions change, and never counted. */
import { Registry } from 'prom-client';
import { afterEach, describe, expect, it, vi } from 'vitest';

import type { BackupOptions, Manager, MemoryRoutes, Route } from '../../ts/index.js';
import { RouteRegistry } from '../../ts/manager/route-registry.js';
import { type FakeEngine, settle, startFake } from './fake-engine.js';
import { Chance } from './route-lives/chance.js';

const CHANGES = 60;
const MANAGERS = 100;

const DESTINATIONS = ['10.9.0.1/32', '10.9.0.2/32', '10.8.0.0/24'];
const SOURCES = ['10.0.0.1', '10.0.0.3'];
const IFACES = ['eth0', 'eth1'];
/** An interface that the host does not have. */
const MISSING = 'eth9';
const PEERS = ['10.0.0.8', '10.0.0.9'];
const BACKUPS: readonly (BackupOptions | undefined)[] = [
  undefined,
  { nextHop: '10.0.1.8', iface: 'eth1' },
  { nextHop: '10.0.1.8', iface: 'eth1', peerIP: '10.0.0.8' },
];

/** A registered route. */
interface Registered {
  readonly route: Route;
  readonly iface: string;
  readonly peerIP: string;
  readonly backup: BackupOptions | undefined;
  readonly adminDown: boolean;
}

afterEach(() => {
  vi.restoreAllMocks();
});

describe('the numbers of routes', () => {
  it.each([false, true])('are those of the registered routes after every change (passive mode: %s)', async (passiveMode) => {
    for (let seed = 1; seed <= MANAGERS; seed += 1) {
      const user = await User.start(passiveMode, seed);
      for (let change = 0; change < CHANGES; change += 1) {
        const what = await user.change();
        expect(await user.shown(), `manager ${seed}, change ${change}: ${what}`).toEqual(user.expected());
      }
      await user.leave();
    }
  });

  it('are shown without a look at each route', async () => {
    const metricsRegistry = new Registry();
    const { manager, engine } = await startFake({ metricsRegistry });
    await manager.registerRoute({ table: 254, dst: '10.9.0.1/32', src: '10.0.0.1', nextHop: '10.0.0.2', protocol: 186 }, 'eth0');
    engine.become('10.9.0.1', 'up');
    const looks = vi.spyOn(RouteRegistry.prototype, 'routes');
    expect(manager.stats().routes.registered).toBe(1);
    expect(await metricsRegistry.metrics()).toContain('liveness_routes_desired{iface="eth0",local_ip="10.0.0.1"} 1\n');
    expect(looks).not.toHaveBeenCalled();
    await manager.close();
  });
});

/** Registers and withdraws at random, and knows what is registered. */
class User {
  readonly #chance: Chance;
  readonly #registered = new Map<string, Registered>();

  private constructor(
    readonly passiveMode: boolean,
    readonly manager: Manager,
    readonly engine: FakeEngine,
    readonly metrics: Registry,
    chance: Chance,
  ) {
    this.#chance = chance;
  }

  static async start(passiveMode: boolean, seed: number): Promise<User> {
    const [metrics, chance] = [new Registry(), new Chance(seed)];
    const { manager, engine, routes } = await startFake({ bindIP: '0.0.0.0', metricsRegistry: metrics, passiveMode });
    engine.faults.push({ iface: MISSING, code: 'ERR_NO_SUCH_INTERFACE' });
    if (passiveMode) failAtTimes(routes, chance);
    return new User(passiveMode, manager, engine, metrics, chance);
  }

  async change(): Promise<string> {
    const what = this.#chance.upTo(9);
    if (what < 4) return this.#register();
    if (what < 6) return this.#withdraw();
    if (what < 7) return this.#admin();
    return this.#flap();
  }

  /** By local endpoint, those that are to be installed; and how many are registered. */
  async shown(): Promise<unknown> {
    const gauge = await this.metrics.getSingleMetric('liveness_routes_desired')?.get();
    const desired = (gauge?.values ?? []).map(({ labels, value }) => [`${labels['iface']} ${labels['local_ip']}`, value] as const);
    const { registered } = this.manager.stats().routes;
    return { registered, desired: Object.fromEntries(desired.filter(([, value]) => value !== 0)) };
  }

  expected(): unknown {
    const desired: Record<string, number> = {};
    for (const registered of this.#registered.values()) {
      const key = `${registered.iface} ${registered.route.src}`;
      if (this.#isDesired(registered)) desired[key] = (desired[key] ?? 0) + 1;
    }
    return { registered: this.#registered.size, desired };
  }

  async leave(): Promise<void> {
    await this.manager.close();
  }

  #isDesired({ route, iface, peerIP, backup, adminDown }: Registered): boolean {
    if (this.passiveMode) return true;
    const runsOnBackup = backup !== undefined && (backup.peerIP === undefined || this.#isUp(backup.iface, route.src, backup.peerIP));
    return !adminDown && (this.#isUp(iface, route.src, peerIP) || runsOnBackup);
  }

  #isUp(iface: string | undefined, localIP: string, peerIP: string): boolean {
    const session = [...this.engine.sessions.values()].find((it) => it.iface === iface && it.localIP === localIP && it.peerIP === peerIP);
    return session?.state === 'up';
  }

  async #register(): Promise<string> {
    const chance = this.#chance;
    const [dst, src, iface, peerIP] = [chance.pick(DESTINATIONS), chance.pick(SOURCES), chance.pick(IFACES), chance.pick(PEERS)];
    const backup = this.passiveMode ? undefined : chance.pick(BACKUPS);
    const route: Route = { table: 254, dst, src, nextHop: chance.pick(PEERS), protocol: 186 };
    const known = this.#registered.get(dst);
    const registrations = [{ route, iface, peerIP, ...(backup === undefined ? {} : { backup }) }];
    // The whole call is refused then.
    if (chance.of(4)) registrations.push({ route: { ...route, dst: '10.7.0.1/32' }, iface: MISSING, peerIP });
    try {
      await this.manager.registerRoutes(registrations);
      this.#registered.set(dst, { route, iface, peerIP, backup, adminDown: known?.adminDown ?? false });
      return `registered ${dst} on ${iface} from ${src} to ${peerIP}`;
    } catch (error) {
      return `not registered ${dst}: ${String(error)}`;
    }
  }

  /** A registration may follow while the backend has not answered. */
  async #withdraw(): Promise<string> {
    const withdrawn = this.#any();
    if (withdrawn === undefined) return 'nothing to withdraw';
    const { route, iface } = withdrawn;
    const done = this.manager.withdrawRoute(route, iface);
    this.#registered.delete(route.dst);
    // It may be pending when the manager closes.
    const ended = done.catch(() => undefined);
    if (this.#chance.of(2)) await ended;
    return `withdrawn ${route.dst}`;
  }

  async #admin(): Promise<string> {
    const changed = this.#any();
    if (changed === undefined) return 'nothing to take out of service';
    const adminDown = this.#chance.of(2);
    await this.manager[adminDown ? 'adminDownRoute' : 'adminUpRoute'](changed.route, changed.iface);
    this.#registered.set(changed.route.dst, { ...changed, adminDown });
    return `${changed.route.dst} out of service: ${adminDown}`;
  }

  async #flap(): Promise<string> {
    const session = this.#chance.pick([undefined, ...this.engine.sessions.values()]);
    if (session === undefined) return 'no session to flap';
    const to = this.#chance.pick(['up', 'up', 'down'] as const);
    this.engine.becomeById(session.id, to);
    await settle();
    return `${session.iface} ${session.localIP} ${session.peerIP} ${to}`;
  }

  #any(): Registered | undefined {
    return this.#chance.pick([undefined, ...this.#registered.values()]);
  }
}

/** A registration in passive mode is taken back where the backend fails. */
function failAtTimes(routes: MemoryRoutes, chance: Chance): void {
  const add = routes.routeAdd.bind(routes);
  vi.spyOn(routes, 'routeAdd').mockImplementation((route) => {
    if (chance.of(4)) throw new Error('refused');
    return add(route);
  });
}
