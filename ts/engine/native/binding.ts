/** The types of the addon. `crate/src/addon/` implements them: change both sides together. */
import type { EngineOptions, ObjectFilter, PathFault, RouteOutcome, SessionPath, SessionRecord } from '../engine.js';
import type { SessionAuth } from '../../protocol/bfd/options.js';
import type { State } from '../../protocol/state.js';
import type { LinkQuality, SimulatedHost, SimulatedTimers, SimulatedTransition } from './simulation.js';
import type { StatisticsNumbers } from './statistics.js';

export interface Delivery {
  sessions: SessionRecord[];
  routes: RouteOutcome[];
  warnings: { code: string; message: string }[];
  fatal: { code: string; message: string } | null;
  /** Another batch waits. */
  more: boolean;
}

export interface NativeEngineHandle {
  /** How many sessions of a predecessor go on. */
  readonly resumed: number;
  localAddr(): { address: string; port: number } | null;
  checkPaths(paths: readonly SessionPath[]): PathFault[];
  openMultihop(): void;
  /** `rows.ts` makes the rows. */
  addSessions(rows: Uint32Array, interfaces: readonly string[], auths: readonly SessionAuth[]): void;
  updateSessions(rows: Uint32Array, interfaces: readonly string[], auths: readonly SessionAuth[]): void;
  removeSessions(ids: readonly number[]): void;
  setAdminDown(ids: readonly number[], down: boolean): void;
  /** `rows.ts` reads the rows. */
  snapshots(ids: readonly number[] | null): Float64Array;
  /** `statistics.ts` reads the numbers. */
  stats(): StatisticsNumbers;
  arm(rows: Uint32Array, interfaces: string[]): void;
  disarm(routes: readonly { id: number; generation: number; remove: boolean }[]): void;
  retry(routes: readonly { id: number; generation: number }[]): void;
  setMaintenance(ids: readonly number[] | null, active: boolean): void;
  /** Deletes the next-hop objects of a predecessor that no route uses and that none of ours needs. Resolves with their number. */
  sweepObjects(filter: ObjectFilter): Promise<number>;
  /** Resolves with whether the engine's thread has answered within 5 s. */
  ping(): Promise<boolean>;
  /** Takes the pending deliveries, in batches while there is `more`. The doorbell rings again only for later ones. */
  drain(): Delivery;
  /** Resolves with the last counters, or with `null` if the thread had stopped by itself. */
  close(adminDown: boolean, forget: boolean): Promise<StatisticsNumbers | null>;
  ref(): void;
  unref(): void;
}

/** A route in the kernel's listing. */
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
  /** Throws EPERM if the process lacks CAP_NET_ADMIN in this network namespace. */
  checkAccess(): void;
  hasObjects(): boolean;
  add(route: NativeRoute, takeOver: boolean): Promise<void>;
  /** Adds a route, then deletes the one that it replaces. */
  replace(previous: NativeRoute, route: NativeRoute, takeOver: boolean): Promise<void>;
  delete(route: NativeRoute): Promise<void>;
  /** Whether the table holds exactly this route. If so, its loss is reported from now on. */
  holds(route: NativeRoute): Promise<boolean>;
  list(protocol: number): Promise<NativeRoute[]>;
  /** Deletes the next-hop objects of a predecessor that no route uses. Resolves with their number. */
  sweepObjects(filter: ObjectFilter): Promise<number>;
  /** Starts to monitor the routes added here. The doorbell rings when there is `news`, and keeps no process alive. */
  watch(doorbell: () => void): void;
  unwatch(): void;
  /** Since the last call: routes that another program took, routes that a link or address took along, and why the monitor has ended. */
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
  /** All received datagrams. The doorbell rings again only for later ones. */
  take(): NativeDatagram[];
  send(bytes: Uint8Array, address: string, port: number, iface?: string, src?: string): number;
  close(): void;
}

/** `ts/sim.ts` documents each method. */
export interface NativeSimulationHandle {
  readonly now: number;
  addHost(host: SimulatedHost): number;
  connect(first: number, second: number, timers: SimulatedTimers, secondTimers: SimulatedTimers): number;
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
  hasNextHopObjects(): boolean;
  /** The version of the package that the addon was built for. */
  version(): string;
  /** Tells the service manager a state, such as `READY=1`. False if this process is no service that is to tell. */
  notifySystemd(state: string): boolean;
  NativeEngine: new (options: EngineOptions, doorbell: () => void) => NativeEngineHandle;
  NativeRoutes: new (objects: { readonly firstId: number; readonly lastId: number } | undefined) => NativeRoutesHandle;
  NativeSimulation: new (seed: number, quality: LinkQuality) => NativeSimulationHandle;
  NativeUdp: {
    new (bindIP: string, port: number, doorbell: () => void): NativeUdpHandle;
    /** Sets the TOS byte of network control on the socket bound to an address. Returns false if there is no such socket. */
    markPackets(address: string, port: number): boolean;
  };
}
