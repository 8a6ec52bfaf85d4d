/** The types of the addon. `crate/src/addon/` implements them: change both sides together. */
import type { DelayBucket } from '../../protocol/delay-histogram.js';
import type {
  EndpointRouteStats,
  EndpointStats,
  EngineOptions,
  EngineStats,
  PathFault,
  RouteOutcome,
  SessionPath,
  SessionRecord,
} from '../engine.js';
import type { State } from '../../protocol/state.js';
import type { LinkQuality, SimulatedHost, SimulatedTimers, SimulatedTransition } from './simulation.js';

export interface Delivery {
  sessions: SessionRecord[];
  routes: RouteOutcome[];
  warnings: { code: string; message: string }[];
  fatal: { code: string; message: string } | null;
  /** There is another portion of what was taken. */
  more: boolean;
}

/** The statistics by the names of the addon; `native-engine.ts` gives them the engine's names. */
export interface NativeStats extends Pick<
  EngineStats,
  'queueLength' | 'readErrors' | 'socketDrops' | 'sendBufferBytes' | 'sendBufferFull' | 'turns'
> {
  readonly scopes: readonly (Omit<EndpointStats, 'extensions'> & { readonly graces: number })[];
  readonly routes: readonly EndpointRouteStats[];
  readonly worstLatenessUs: number;
  readonly turnLateness: readonly DelayBucket[];
  readonly transmitLateness: readonly DelayBucket[];
}

export interface NativeEngineHandle {
  localAddr(): { address: string; port: number } | null;
  checkPaths(paths: readonly SessionPath[]): PathFault[];
  /** `rows.ts` makes what these take. */
  addSessions(rows: Uint32Array, interfaces: readonly string[]): void;
  updateSessions(rows: Uint32Array, interfaces: readonly string[]): void;
  removeSessions(ids: readonly number[]): void;
  setAdminDown(ids: readonly number[], down: boolean): void;
  /** `rows.ts` reads what this gives. */
  snapshots(ids: readonly number[] | null): Float64Array;
  stats(): NativeStats;
  arm(rows: Uint32Array): void;
  disarm(routes: readonly { id: number; generation: number; remove: boolean }[]): void;
  retry(routes: readonly { id: number; generation: number }[]): void;
  /** Takes what waits for JavaScript, a portion at a time, while there is `more`; the doorbell rings again only for what comes later. */
  drain(): Delivery;
  /** Resolves with the last counters; with `null` where the thread had stopped by itself. */
  close(adminDown: boolean): Promise<NativeStats | null>;
  ref(): void;
  unref(): void;
}

/** A route as the kernel lists it. */
export interface NativeRoute {
  table: number;
  dst: string;
  prefixLength: number;
  src: string;
  nextHop: string;
  protocol: number;
  priority: number;
  /** The output interface; without one the kernel chooses. */
  iface?: string | undefined;
}

export interface NativeRoutesHandle {
  /** Fails with EPERM where the process lacks CAP_NET_ADMIN in this network namespace. */
  checkAccess(): void;
  add(route: NativeRoute, takeOver: boolean): Promise<void>;
  /** Adds a route, then deletes the one that it replaces. */
  replace(former: NativeRoute, route: NativeRoute, takeOver: boolean): Promise<void>;
  delete(route: NativeRoute): Promise<void>;
  /** Whether exactly this route is there; from then on its loss is news. */
  holds(route: NativeRoute): Promise<boolean>;
  list(protocol: number): Promise<NativeRoute[]>;
  /** Begins to watch what was added here; the doorbell rings when there is `news`, and keeps no process alive. */
  watch(doorbell: () => void): void;
  unwatch(): void;
  /** The routes that somebody took since the last time, those that went with a link or an address, and why nobody watches any more where that is so. */
  news(): { taken: NativeRoute[]; dropped: NativeRoute[]; unwatched?: string };
}

export interface NativeDatagram {
  data: Uint8Array;
  address: string;
  port: number;
  localIP: string;
  iface: string;
  arrivalUs: number;
}

export interface NativeUdpHandle {
  localAddr(): { address: string; port: number } | null;
  /** Everything that has come; the doorbell rings again only for what comes later. */
  take(): NativeDatagram[];
  send(bytes: Uint8Array, address: string, port: number, iface?: string, src?: string): number;
  close(): void;
}

/** `ts/sim.ts` says what each of these does. */
export interface NativeSimulationHandle {
  readonly now: number;
  addHost(host: SimulatedHost): number;
  connect(one: number, other: number, timers: SimulatedTimers, othersTimers: SimulatedTimers): number;
  setQuality(from: number, to: number, quality: LinkQuality): void;
  cut(from: number, to: number): void;
  heal(from: number, to: number): void;
  restart(host: number, pause: number): void;
  stall(host: number, duration: number): void;
  setAdminDown(pair: number, host: number, down: boolean): void;
  run(duration: number): SimulatedTransition[];
  states(pair: number): (State | null)[];
}

export interface Binding {
  /** The version of the package that the addon was built for. */
  version(): string;
  NativeEngine: new (options: EngineOptions, doorbell: () => void) => NativeEngineHandle;
  NativeRoutes: new () => NativeRoutesHandle;
  NativeSimulation: new (seed: number, quality: LinkQuality) => NativeSimulationHandle;
  NativeUdp: {
    new (bindIP: string, port: number, doorbell: () => void): NativeUdpHandle;
    /** Gives what the socket that is bound to an address sends the mark of network control, as the native engine's packets have it. False where there is none. */
    markPackets(address: string, port: number): boolean;
  };
}
