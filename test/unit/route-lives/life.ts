/** One life of a manager: users who never wait, sessions that flap, a backend that misbehaves, rivals; then peace, and the check. */
import { expect, vi } from 'vitest';

import { type Manager, type PlacedRoute, type Route, type SessionSnapshot } from '../../../ts/index.js';
import { formatSlot } from '../../../ts/base/route.js';
import { startManager } from '../../../ts/manager/manager.js';
import { CONFIG, FakeEngine } from '../fake-engine.js';
import { ArmingEngine } from './arming.js';
import { asKernel, backendOf, Faults } from './backend.js';
import { Chance } from './chance.js';
import { OURS, Tables, THEIRS } from './tables.js';

export const MODES = ['backend', 'armed', 'passive'] as const;
export type Mode = (typeof MODES)[number];

const ROUTE_TIMEOUT_MS = 1_000;
/** Every call has been answered and every delay is over, and what failed was tried again. */
const PEACE_MS = 200_000;
const IFACES = ['eth0', 'eth1'];
/** What routes are made of, by family. */
const FAMILIES: readonly { sources: string[]; hops: string[]; slots: Partial<Route>[] }[] = [
  {
    sources: ['10.0.0.1', '10.0.0.2'],
    hops: ['10.0.0.8', '10.0.0.9'],
    slots: [{ dst: '10.9.0.7/32' }, { dst: '10.9.0.7/32', priority: 5 }, { dst: '10.8.0.0/24' }],
  },
  {
    sources: ['2001:db8::1', 'fe80::1'],
    hops: ['2001:db8::8', 'fe80::9'],
    slots: [{ dst: '2001:db8:9::7/128' }, { dst: '2001:db8:9::7/128', priority: 5 }, { dst: '2001:db8:8::/64' }],
  },
];

/** A promise that the manager gave out. */
interface Promised {
  readonly what: string;
  settled: 'no' | 'resolved' | 'rejected';
  code?: unknown;
}

export class Life {
  readonly #chance: Chance;
  readonly #mode: Mode;
  readonly #faults = new Faults();
  readonly #tables: Tables;
  readonly #promised: Promised[] = [];
  readonly #watches: boolean;
  /** Installed routes stay while their peer is AdminDown. */
  readonly #keeps: boolean;
  /** Sessions that flap have their routes later. */
  readonly #suppresses: boolean;
  #engine!: FakeEngine;
  #manager!: Manager;
  #closed = false;
  #predecessors: PlacedRoute | undefined;
  readonly log: string[] = [];

  constructor(mode: Mode, seed: number) {
    this.#mode = mode;
    this.#chance = new Chance(seed);
    this.#tables = new Tables(this.#chance);
    this.#watches = mode === 'armed' || this.#chance.of(2);
    this.#keeps = mode !== 'passive' && this.#chance.of(2);
    this.#suppresses = mode === 'backend' && this.#chance.of(2);
  }

  async live(steps: number): Promise<void> {
    // Also what is left to chance in the code follows from the seed.
    vi.spyOn(Math, 'random').mockImplementation(() => this.#chance.next());
    await this.#start();
    for (let step = 0; step < steps; step += 1) {
      this.#step();
      if (this.#chance.of(3)) await vi.advanceTimersByTimeAsync(this.#chance.upTo(this.#chance.of(5) ? 5_000 : 50));
    }
    await this.#makePeace();
    this.#check();
    if (this.#closed) return;
    this.#promise('close at the end', this.#manager.close({ withdrawRoutes: true }));
    await vi.advanceTimersByTimeAsync(PEACE_MS);
    this.#expectSettled();
    expect(this.#left(), 'nothing of ours is left where all was withdrawn').toEqual([]);
  }

  async #start(): Promise<void> {
    const chance = this.#chance;
    const abilities = ['routeReplace', 'routeHolds'].filter(() => chance.of(2));
    const backend = backendOf(this.#tables, this.#faults, chance, this.#watches ? [...abilities, 'watchRoutes'] : abilities);
    const config = {
      ...CONFIG,
      bindIP: ['0.0.0.0', '::'],
      ...(this.#keeps ? ({ protocol: 'bfd', onPeerAdminDown: 'keep' } as const) : {}),
      ...(this.#suppresses ? { holdUp: this.#chance.upTo(2_000), damping: true } : {}),
      netlinker: this.#mode === 'armed' ? asKernel(backend) : backend,
      passiveMode: this.#mode === 'passive',
      routeTimeout: ROUTE_TIMEOUT_MS,
    };
    this.#manager = await startManager(config, undefined, (_, options, listener) => {
      this.#engine =
        this.#mode === 'armed'
          ? new ArmingEngine(options, listener).with(this.#tables, this.#faults, chance)
          : new FakeEngine(options, listener);
      return Promise.resolve(this.#engine);
    });
    // What a predecessor has left.
    if (chance.of(3)) {
      this.#predecessors = { route: this.#route(), iface: chance.pick(IFACES) };
      this.#tables.add(this.#predecessors);
    }
    [this.#faults.slow, this.#faults.fail] = [chance.upTo(50), chance.upTo(50)];
  }

  #step(): void {
    const what = this.#chance.upTo(99);
    if (what < 30) this.#flap();
    else if (what < 55) this.#register();
    else if (what < 70) this.#withdraw();
    else if (what < 78) this.#admin();
    else if (what < 83) this.#promise('adopt', this.#manager.adoptRoutes({ protocol: OURS, table: 254 }));
    else if (what < 87) this.#promise('sweep', this.#manager.sweepRoutes({ protocol: OURS, table: 254 }));
    else if (what < 98) this.#rival();
    else if (this.#chance.of(6)) this.#close();
  }

  #register(): void {
    const registration = (): { route: Route; iface: string; peerIP: string } => {
      const route = this.#route();
      return { route, iface: this.#chance.pick(IFACES), peerIP: route.nextHop };
    };
    if (this.#chance.of(3)) {
      const many = [registration(), registration()];
      this.#promise(`register ${JSON.stringify(many)}`, this.#manager.registerRoutes(many));
      return;
    }
    const { route, iface, peerIP } = registration();
    this.#promise(`register ${JSON.stringify(route)} ${iface}`, this.#manager.registerRoute(route, iface, { peerIP }));
  }

  #withdraw(): void {
    const registered = this.#closed ? undefined : this.#chance.pick([undefined, ...this.#registered()]);
    const { route, iface } = registered ?? { route: this.#route(), iface: this.#chance.pick(IFACES) };
    this.#promise(`withdraw ${JSON.stringify(route)} ${iface}`, this.#manager.withdrawRoute(route, iface));
  }

  #admin(): void {
    const registered = this.#closed ? undefined : this.#chance.pick([undefined, ...this.#registered()]);
    if (registered === undefined) return;
    const call = this.#chance.of(2) ? 'adminDownRoute' : 'adminUpRoute';
    this.#promise(call, this.#manager[call](registered.route, registered.iface));
  }

  #flap(): void {
    const session = this.#chance.pick([undefined, ...this.#engine.sessions.values()]);
    if (session === undefined || session.adminDown || this.#closed) return;
    const to = this.#chance.pick(['up', 'up', 'down'] as const);
    const isPeerAdminDown = to === 'down' && this.#chance.of(2);
    this.log.push(`${session.iface} ${session.localIP} ${session.peerIP} ${to}${isPeerAdminDown ? ' (remote_admin)' : ''}`);
    this.#engine.becomeById(session.id, to, isPeerAdminDown ? { reason: 'remote_admin' } : {});
  }

  /** What nobody tells of is not done: nobody could put it right. */
  #rival(): void {
    if (!this.#watches) return;
    const route = this.#route();
    const slot = formatSlot(route);
    if (this.#tables.isForeign(slot)) this.#tables.vacate();
    else this.#tables.take(slot, this.#chance.of(2) ? { ...route, protocol: THEIRS } : undefined);
    this.log.push(`rival ${slot}`);
  }

  #close(): void {
    this.#closed = true;
    const options = { adminDown: this.#chance.of(2), withdrawRoutes: this.#chance.of(2) };
    this.#promise(`close ${JSON.stringify(options)}`, this.#manager.close(options));
  }

  async #makePeace(): Promise<void> {
    [this.#faults.slow, this.#faults.fail] = [0, 0];
    this.#tables.vacate();
    await vi.advanceTimersByTimeAsync(PEACE_MS);
  }

  #check(): void {
    this.#expectSettled();
    if (this.#closed) return;
    const sessions = this.#manager.getSessions();
    const entries = sessions.flatMap((session) => session.routes.map((it) => ({ ...it, session })));
    for (const { route, installed, adminDown, session } of entries) {
      const slot = formatSlot(route);
      // It may stay although it is registered: it was not adopted.
      if (this.#predecessors !== undefined && this.#tables.at(slot) === this.#predecessors) continue;
      const isThere = this.#tables.holds({ route, iface: session.peer.iface });
      if (this.#isKept(session, adminDown)) {
        expect(isThere || this.#tables.at(slot) === undefined, `${slot} holds this route or none`).toBe(true);
        // What a call that was given up on has done is not looked for before the session is Up again.
        expect(!installed || isThere, `${slot} is called installed`).toBe(true);
        continue;
      }
      const isWanted = this.#mode === 'passive' || (session.state === 'up' && !adminDown);
      expect(isThere, `${slot} is in the table where its session is ${session.state}`).toBe(isWanted);
      expect(installed, `${slot} is called installed`).toBe(isThere);
    }
    const slots = entries.map(({ route }) => formatSlot(route));
    expect(new Set(slots).size, 'a slot has one owner').toBe(slots.length);
    const counted = this.#manager.stats().routes;
    expect(counted.registered).toBe(entries.length);
    if (this.#mode === 'armed') return;
    expect(counted.endpoints.reduce((sum, endpoint) => sum + endpoint.installed, 0)).toBe(
      entries.filter(({ installed }) => installed).length,
    );
    for (const endpoint of counted.endpoints) expect(endpoint.installed).toBeGreaterThanOrEqual(0);
  }

  /** Whether a route stays if it is there, and stays away if it is not. The engine's discriminator is its number of the session. */
  #isKept({ localDiscr }: SessionSnapshot, adminDown: boolean): boolean {
    const session = this.#engine.sessions.get(localDiscr);
    return this.#keeps && !adminDown && session?.state === 'down' && session.reason === 'remote_admin';
  }

  #registered(): { route: Route; iface: string }[] {
    return this.#manager.getSessions().flatMap(({ peer, routes }) => routes.map(({ route }) => ({ route, iface: peer.iface })));
  }

  /** What is ours; a predecessor's route that nobody took over may stay. */
  #left(): PlacedRoute[] {
    return this.#tables.list(OURS).filter((placed) => placed !== this.#predecessors);
  }

  #route(): Route {
    const chance = this.#chance;
    const { sources, hops, slots } = chance.pick(FAMILIES);
    return { table: 254, dst: '', src: chance.pick(sources), nextHop: chance.pick(hops), protocol: OURS, ...chance.pick(slots) };
  }

  #promise(what: string, promise: Promise<unknown>): void {
    const promised: Promised = { what, settled: 'no' };
    this.#promised.push(promised);
    this.log.push(what);
    promise.then(
      () => (promised.settled = 'resolved'),
      (error: unknown) => {
        promised.settled = 'rejected';
        promised.code = (error as { code?: unknown }).code;
      },
    );
  }

  #expectSettled(): void {
    const pending = this.#promised.filter(({ settled }) => settled === 'no');
    expect(pending, 'every promise has settled').toEqual([]);
    const uncoded = this.#promised.filter(({ settled, code }) => settled === 'rejected' && typeof code !== 'string');
    expect(uncoded, 'every rejection has a code').toEqual([]);
  }
}
