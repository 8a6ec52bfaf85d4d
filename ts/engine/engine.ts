/**
 * What the manager asks of an engine, native or JavaScript, and what an engine tells the manager.
 *
 * Everything here is in the engine's own units: integer microseconds of CLOCK_MONOTONIC and numeric session
 * handles. `manager.ts` converts once, at the border to the user.
 */
import type { AddressInfo } from 'node:net';

import type { HistogramStats } from '../metrics/duration-histogram.js';
import type { InvalidReason } from '../protocol/packet.js';
import type { SessionReading } from '../protocol/session-status.js';
import type { DelayBucket } from '../protocol/delay-histogram.js';
import type { SessionTimers } from '../protocol/session-core.js';
import type { DownReason, State } from '../protocol/state.js';
import type { TransitionCause } from '../protocol/timeline.js';

export type { InvalidReason, TransitionCause };

/** Names one session towards the engine. Positive, counted up by the manager, never used twice by one manager. */
export type SessionId = number;

/** Names one route towards the engine. Positive, counted up by the manager, never used twice by one manager. */
export type RouteId = number;

/** What an engine can do beyond the protocol itself; the manager refuses what the configuration demands and the engine lacks. */
export interface Capabilities {
  /** Source address and egress interface are set per packet, destination and arrival interface are known per packet (IP_PKTINFO). */
  readonly pktinfo: boolean;
  /** Packets leave through the session's interface, whatever the routing table prefers. */
  readonly interfaceBinding: boolean;
  /** Detection counts from the packet's arrival in the kernel, not from when the process read it. */
  readonly arrivalTime: boolean;
  /** Kernel routes move from the engine's own threads, also while JavaScript is blocked. */
  readonly armedRoutes: boolean;
  /** Sessions live on while JavaScript is blocked. */
  readonly independentOfEventLoop: boolean;
  /** `realtime` in the configuration has an effect. */
  readonly realtime: boolean;
}

/** The engine-wide part of the configuration, in microseconds. */
export interface EngineOptions {
  readonly bindIP: string;
  readonly port: number;
  readonly minTxFloorUs: number;
  readonly maxTxCeilUs: number;
  readonly backoffMaxUs: number;
  readonly maxSessions: number;
  /** What byte 20 of every packet says of us. */
  readonly passive: boolean;
  /** Bytes 21 to 24: major, minor, patch, channel; zeros where there is none. */
  readonly clientVersion: readonly [number, number, number, number] | undefined;
  readonly honorPeerAdvertisedPassive: boolean;
  /** In Up, hear only packets that name our discriminator. */
  readonly requireDiscriminator: boolean;
  /** Packets that arrive with a lower TTL are refused; only the native engine can. */
  readonly minTtl: number | undefined;
  /** Armed adds replace whatever occupies the slot. */
  readonly takeOver: boolean;
  readonly realtime:
    { readonly priority?: number | undefined; readonly cpu?: number | undefined; readonly lockMemory?: boolean | undefined } | undefined;
}

export interface SessionSpec extends SessionTimers {
  readonly id: SessionId;
  readonly iface: string;
  readonly localIP: string;
  readonly peerIP: string;
  readonly peerPort: number;
}

export interface SessionPath {
  readonly iface: string;
  readonly localIP: string;
}

/** One path that cannot work on this host now: the interface does not exist, or the address is not local. */
export interface PathFault {
  readonly index: number;
  readonly code: 'ERR_NO_SUCH_INTERFACE' | 'EADDRNOTAVAIL';
  /** What the interface is called whose alternative name was given, or a label of one of its addresses (`eth0:1`). */
  readonly realName?: string | undefined;
}

export interface EngineReading extends SessionReading {
  readonly id: SessionId;
}

/**
 * What became of one session since the last delivery. At most one record per session is pending: the newest
 * state wins and `count` says how many transitions stand behind it. `count` is 0 where only `peerPassive` or
 * `longRoundTripUs` has something to say.
 */
export interface SessionRecord {
  readonly id: SessionId;
  readonly from: State;
  readonly to: State;
  readonly reason: DownReason;
  readonly cause: TransitionCause;
  readonly atUs: number;
  readonly count: number;
  /** The last time the session left Up or Init for Down inside this record. */
  readonly lastDown: { readonly atUs: number; readonly reason: DownReason; readonly localStallUs: number } | undefined;
  /** The worst lateness of this process inside the session's detection window. */
  readonly localStallUs: number;
  /** `undefined` where nothing was said of it. */
  readonly peerPassive: boolean | undefined;
  /** When the change began to be seen: `convUpStart` for a change to Up, `convDownStart` for one to Down. */
  readonly convStartUs: number | undefined;
  /** The arrival of the last packet that counted. */
  readonly lastRxUs: number | undefined;
  /** The round trip is longer than the detection time, which should exceed it: how long at least. */
  readonly longRoundTripUs: number | undefined;
}

/** A route as the kernel has it; addresses are numbers of 32 bits, as `addressToNumber` makes them. */
export interface KernelRoute {
  readonly table: number;
  readonly destination: number;
  readonly prefixLength: number;
  readonly source: number;
  readonly nextHop: number;
  readonly protocol: number;
  /** 0 is the kernel's default. */
  readonly priority: number;
}

/** A kernel route that the engine moves by itself on its session's transitions. */
export interface ArmedRoute {
  readonly id: RouteId;
  readonly sessionId: SessionId;
  /** Greater than every generation sent for this id before; answers carry it back. */
  readonly generation: number;
  readonly route: KernelRoute;
  readonly noUninstall: boolean;
  readonly adminDown: boolean;
}

/** The kernel's answer to the newest operation on one armed route; an older answer that was not yet drained is replaced. */
export interface RouteOutcome {
  readonly id: RouteId;
  readonly generation: number;
  /** `none`: nothing was changed. The route was looked for, or disarmed while it was not installed, or has to stay. */
  readonly op: 'add' | 'delete' | 'none';
  readonly ok: boolean;
  /** `ERR_ROUTE_CONFLICT` or the system's name (`EPERM`, `ENETUNREACH`, …) where it failed. */
  readonly code: string | undefined;
  readonly message: string | undefined;
  readonly durationUs: number;
  readonly atUs: number;
  /** The engine has forgotten the route: the end of a disarm. */
  readonly gone: boolean;
  /** Whether the kernel holds the route, as far as is known. */
  readonly installed: boolean;
  /** Until when a route that others take away again and again is not put back. */
  readonly restoreAtUs: number | undefined;
}

/** Kernel routes on the engine's own threads. */
export interface RouteArming {
  /**
   * Puts the routes in the engine's care, or replaces what it knows of them (same id, greater generation). A route whose
   * session is Up is added at once. Reads them in the call, and keeps none.
   *
   * @param adopted a predecessor may have left them in the kernel: they are looked for, an outcome says whether they are
   * there, and they are held while their sessions begin anew. Default: false
   */
  arm(routes: readonly ArmedRoute[], adopted?: boolean): void;
  /** Ends the engine's care. `remove` deletes the route first where it is installed; the outcome with `gone` answers. */
  disarm(routes: readonly { readonly id: RouteId; readonly generation: number; readonly remove: boolean }[]): void;
  /** Tries the wanted operation again after a failure; without effect where the generation is no longer the newest. */
  retry(routes: readonly { readonly id: RouteId; readonly generation: number }[]): void;
}

/** Where an engine delivers. Calls come from the event loop, never from inside a call into the engine. */
export interface EngineListener {
  sessions(records: readonly SessionRecord[]): void;
  routes(outcomes: readonly RouteOutcome[]): void;
  /** Something works less well than asked for, once per kind: a refused realtime option, say. */
  warning(code: string, message: string): void;
  /** The engine has stopped by itself. Nothing follows. */
  fatal(error: Error): void;
}

/** How often sessions went from one state to another for one cause. */
export interface TransitionCount {
  /** `new`: the session began. */
  readonly from: State | 'new';
  readonly to: State;
  readonly cause: TransitionCause;
  readonly count: number;
}

/** EndpointCounters of one (interface, local IP). They never fall, but for `sessions` and `queued`, which say how it is now. */
export interface EndpointStats {
  readonly iface: string;
  readonly localIP: string;
  readonly sessions: Readonly<Record<State, number>>;
  readonly tx: number;
  /** Packets of sessions' peers. */
  readonly rx: number;
  readonly rxInvalid: Readonly<Record<InvalidReason, number>>;
  readonly unknownPeer: number;
  readonly writeErrors: number;
  /** Transmits that were given up on, since the send buffer had no room for them. */
  readonly dropped: number;
  readonly timeouts: number;
  /** Detection timeouts put off because the silence may have been our own fault. */
  readonly extensions: number;
  /** Entries in the scheduler's queue: at most two per session. */
  readonly queued: number;
  /** Those that happened. */
  readonly transitions: readonly TransitionCount[];
  /** How long the handling of a received packet took. */
  readonly handleRx: HistogramStats;
}

/** EndpointCounters of the routes of one (interface, local IP). They never fall, but for `installed`, which says how it is now. */
export interface EndpointRouteStats {
  readonly iface: string;
  readonly localIP: string;
  /** Routes that the backend has confirmed. */
  readonly installed: number;
  readonly adds: number;
  readonly addFailures: number;
  readonly deletes: number;
  readonly deleteFailures: number;
  /** Routes that somebody else took away while they were to be there: they are put back. */
  readonly restored: number;
  /** Those of them that are put back after a delay, since they were taken away again and again. */
  readonly restoresDelayed: number;
  /** From the first valid packet while Down to the backend's answer that the route is there. */
  readonly convergenceToUp: HistogramStats;
  /** From the first packet that was missing, or said Down, to the backend's answer that the route is gone. */
  readonly convergenceToDown: HistogramStats;
}

export interface EngineStats {
  /** By local endpoint; packets to addresses without sessions are counted under `0.0.0.0`. */
  readonly endpoints: readonly EndpointStats[];
  /** Of armed routes; empty where the engine arms none. */
  readonly routes: readonly EndpointRouteStats[];
  /** Entries in the scheduler's queue: at most two per session. */
  readonly queueLength: number;
  readonly readErrors: number;
  /** Datagrams the kernel dropped: as `ManagerStats.socketDrops` says. */
  readonly socketDrops: number;
  /** As `ManagerStats` says. */
  readonly sendBufferBytes: number;
  readonly sendBufferFull: number;
  readonly turns: number;
  /** The worst lateness of a turn so far. */
  readonly worstTurnDelayUs: number;
  /** How late turns were against the deadlines that they were meant for. */
  readonly turnDelays: readonly DelayBucket[];
  /** How late packets were handed to the system; early ones count as punctual. */
  readonly transmitDelays: readonly DelayBucket[];
}

/** One running engine. After `close()` every call but `close()` and `localAddr()` throws `ERR_CLOSED`. */
export interface Engine {
  readonly kind: 'native' | 'js';
  readonly capabilities: Capabilities;
  readonly arming: RouteArming | undefined;
  localAddr(): AddressInfo | undefined;
  /** Checks paths against the host as it is now, and changes nothing. */
  checkPaths(paths: readonly SessionPath[]): PathFault[];
  /**
   * Which of these sessions, by index, this engine could not tell from another one, theirs included: it does not learn what
   * interface a packet came in by. Not there where the engine tells all apart.
   */
  indistinct?(specs: readonly SessionSpec[]): number[];
  /** Reads the specifications in the call, and keeps none. Starts sessions in Down; the first packets leave at once, paced over at most a second where there are many. */
  addSessions(specs: readonly SessionSpec[]): void;
  /** Gives sessions other timers or another peer port. */
  updateSessions(specs: readonly SessionSpec[]): void;
  /** Ends sessions without a farewell. */
  removeSessions(ids: readonly SessionId[]): void;
  /** To AdminDown, repeated to the peer for one detect time, or back to Down. */
  setAdminDown(ids: readonly SessionId[], down: boolean): void;
  /** The given sessions, or all; unknown ids are left out. */
  snapshots(ids?: readonly SessionId[]): EngineReading[];
  stats(): EngineStats;
  /**
   * Stops threads, socket and timers; with `adminDown` says so to all peers first, for one detect time and 3 s at most.
   * Idempotent. Gives the last counters, `undefined` where the engine had stopped by itself.
   */
  close(options: { adminDown: boolean }): Promise<EngineStats | undefined>;
  ref(): void;
  unref(): void;
}
