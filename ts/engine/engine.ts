/**
 * The interface between the manager and an engine, native or JavaScript.
 *
 * Times are whole microseconds of CLOCK_MONOTONIC, and sessions are numbers; the manager converts to the user's units.
 */
import type { AddressInfo } from 'node:net';

import type { PackedAddress } from '../base/address.js';
import type { HistogramStats } from '../metrics/duration-histogram.js';
import type { BfdSessionOptions } from '../protocol/bfd/options.js';
import type { InvalidReason } from '../protocol/packet.js';
import type { SessionReading } from '../protocol/session-status.js';
import type { DelayBucket } from '../protocol/delay-histogram.js';
import type { SessionTimers } from '../protocol/session-core.js';
import type { DownReason, State } from '../protocol/state.js';
import type { TransitionCause } from '../protocol/timeline.js';

export type { InvalidReason, TransitionCause };

/** The number of a session. Positive; the manager counts up and never uses a number twice. */
export type SessionId = number;

/** The number of a route. Positive; the manager counts up and never uses a number twice. */
export type RouteId = number;

/** What an engine can do beyond the protocol itself. */
export interface Capabilities {
  /** Each sent packet has a chosen source address and interface; of each received one both are known (IP_PKTINFO). */
  readonly pktinfo: boolean;
  /** Packets leave through the session's interface, independently of the routing table. */
  readonly interfaceBinding: boolean;
  /** The detection time starts when a packet arrives in the kernel, not when the process reads it. */
  readonly arrivalTime: boolean;
  /** The engine's threads add and delete kernel routes, even while JavaScript is blocked. */
  readonly armedRoutes: boolean;
  /** Sessions run while JavaScript is blocked. */
  readonly independentOfEventLoop: boolean;
  /** `realtime` in the configuration has an effect. */
  readonly realtime: boolean;
  /** `nextHopObjects` of `NetlinkRoutes` has an effect: the engine adds routes itself, and the kernel has such objects (Linux 5.3). */
  readonly nextHopObjects: boolean;
}

/** The part of the configuration that an engine needs. */
export interface EngineOptions {
  readonly protocol: 'liveness' | 'bfd';
  /** One address, or one of IPv4 and one of IPv6. */
  readonly bindIPs: readonly string[];
  readonly port: number;
  /** Where multihop sessions listen (RFC 5883 §5); only of BFD. 0 takes a free port. */
  readonly multihopPort: number;
  readonly minTxFloorUs: number;
  readonly maxTxCeilUs: number;
  readonly backoffMaxUs: number;
  readonly maxSessions: number;
  /** The passive flag of sent packets, in byte 20. */
  readonly passive: boolean;
  /** Bytes 21 to 24 of sent packets: major, minor, patch, channel. `undefined` sends zeros. */
  readonly clientVersion: readonly [number, number, number, number] | undefined;
  readonly honorPeerAdvertisedPassive: boolean;
  /** In Up, accept only packets that carry our discriminator. */
  readonly requireDiscriminator: boolean;
  /** Packets with a lower TTL are dropped; only the native engine can do that. */
  readonly minTtl: number | undefined;
  /** Adding an armed route replaces any occupant of its slot. */
  readonly takeOver: boolean;
  /** Where more than a share of the sessions falls within a time, the withdrawals of armed routes wait. */
  readonly massDown: { readonly share: number; readonly withinUs: number; readonly holdUs: number } | undefined;
  /** Armed routes hang on next-hop objects with these numbers. */
  readonly nextHopObjects?: { readonly firstId: number; readonly lastId: number } | undefined;
  /** Armed routes are withdrawn where the engine stops by itself. */
  readonly withdrawOnFatal: boolean;
  /** A filter in the kernel takes in packets that equal the one before; only the native engine has one. */
  readonly filterRepeats: boolean;
  /** The file in which a successor finds the sessions; only the native engine has one. */
  readonly resume: string | undefined;
  readonly realtime: { readonly priority?: number | undefined; readonly cpu?: number | undefined } | undefined;
}

export interface SessionSpec extends SessionTimers {
  readonly id: SessionId;
  readonly iface: string;
  readonly localIP: string;
  readonly peerIP: string;
  readonly peerPort: number;
  /** The peer is several hops away: the session has no interface on the wire. Only of BFD. Default: false. */
  readonly multihop?: boolean | undefined;
  /** The least TTL of a received packet. Default: that of the engine's options; of a multihop session any. */
  readonly minTtl?: number | undefined;
  /** Only of BFD. Default: active, without authentication. */
  readonly bfd?: BfdSessionOptions | undefined;
}

export interface SessionPath {
  readonly iface: string;
  readonly localIP: string;
}

/** A path that cannot work on this host at present: the interface does not exist, or the address is not local. */
export interface PathFault {
  readonly index: number;
  readonly code: 'ERR_NO_SUCH_INTERFACE' | 'EADDRNOTAVAIL';
  /** The name of the interface, if an alternative name or the label of an address (`eth0:1`) was given. */
  readonly realName?: string | undefined;
}

export interface EngineReading extends SessionReading {
  readonly id: SessionId;
}

/**
 * The changes of one session since the last delivery. At most one record per session is pending: it has the newest state, and
 * `count` is the number of transitions. `count` is 0 in a record that only has `peerPassive` or `longRoundTripUs`.
 */
export interface SessionRecord {
  readonly id: SessionId;
  readonly from: State;
  readonly to: State;
  readonly reason: DownReason;
  readonly cause: TransitionCause;
  readonly atUs: number;
  readonly count: number;
  /** The last transition from Up or Init to Down in this record. */
  readonly lastDown: { readonly atUs: number; readonly reason: DownReason; readonly localStallUs: number } | undefined;
  /** The longest scheduling delay of this process in the session's detection window. */
  readonly localStallUs: number;
  /** `undefined` if it has not changed. */
  readonly peerPassive: boolean | undefined;
  /** The session is Up, or was at some time. False in a record without a transition. */
  readonly everUp: boolean;
  /** When the cause of the transition began: `convUpStart` for one to Up, `convDownStart` for one to Down. */
  readonly convStartUs: number | undefined;
  /** The arrival of the last accepted packet. */
  readonly lastRxUs: number | undefined;
  /** The least round trip, if it is longer than the detection time. */
  readonly longRoundTripUs: number | undefined;
  /** The diagnostics sent and received, RFC 5880 §4.1; `undefined` in the liveness protocol. */
  readonly localDiag?: number | undefined;
  readonly remoteDiag?: number | undefined;
}

/** A route of the kernel. Its addresses are of one family. */
export interface KernelRoute {
  readonly table: number;
  readonly destination: PackedAddress;
  readonly prefixLength: number;
  readonly source: PackedAddress;
  readonly nextHop: PackedAddress;
  readonly protocol: number;
  /** As the kernel lists it: 0 only in IPv4. */
  readonly priority: number;
}

/** How the routes of sessions that flap are suppressed (RFC 2439). All numbers are whole. */
export interface Damping {
  /** What a Down from Up adds to the figure of merit. */
  readonly penalty: number;
  /** Above this figure suppression begins. */
  readonly suppressAbove: number;
  /** Below this figure it ends. */
  readonly reuseBelow: number;
  /** So long it takes the figure to halve. */
  readonly halfLifeMs: number;
  /** The figure never exceeds what decays to `reuseBelow` within this time. */
  readonly maxSuppressMs: number;
}

/** What a route runs on: the next hop that it was registered with, or its backup. */
export type Leg = 'primary' | 'backup';

/** Where an armed route runs while its session is not Up. */
export interface ArmedBackup {
  readonly iface: string;
  readonly nextHop: PackedAddress;
  /** The session that watches it: it is used only while that is Up. `undefined`: it counts as working. */
  readonly sessionId: SessionId | undefined;
}

/** A kernel route that the engine adds and deletes on the transitions of its session. */
export interface ArmedRoute {
  readonly id: RouteId;
  readonly sessionId: SessionId;
  /** Greater than every earlier generation of this id; answers carry it. */
  readonly generation: number;
  readonly route: KernelRoute;
  readonly noUninstall: boolean;
  readonly adminDown: boolean;
  /** An installed route stays while the session is not Up and the reason of its last Down is `remote_admin` (RFC 5882 §3.2). */
  readonly keepOnPeerAdminDown: boolean;
  /** After the first Up of the session, the route is added only once the session has been Up for so long, in whole milliseconds. */
  readonly holdUpMs: number;
  readonly damping: Damping | undefined;
  readonly backup?: ArmedBackup | undefined;
}

/** The kernel's answer to the newest operation on one armed route. It replaces an older answer that was not delivered yet. */
export interface RouteOutcome {
  readonly id: RouteId;
  readonly generation: number;
  /** `none`: nothing was changed. The route was looked up, was disarmed while not installed, or has to stay. */
  readonly op: 'add' | 'delete' | 'none';
  readonly ok: boolean;
  /** For a failure: `ERR_ROUTE_CONFLICT` or the system's code (`EPERM`, `ENETUNREACH`, …). */
  readonly code: string | undefined;
  readonly message: string | undefined;
  readonly durationUs: number;
  readonly atUs: number;
  /** The engine has forgotten the route: the answer to a disarm. */
  readonly gone: boolean;
  /** Whether the kernel holds the route, as far as the engine knows. */
  readonly installed: boolean;
  /** When a contended route is put back: another program deletes it again and again. */
  readonly restoreAtUs: number | undefined;
  /** When a route is added that is not although its session is Up: `holdUpMs`, or `damping`. An outcome tells its begin and its end. */
  readonly suppressedUntilUs: number | undefined;
  /** What the route runs on, or is to run on. */
  readonly leg: Leg;
}

/** The next-hop objects that a sweep is about: those of a protocol number, whose next hops are of these families. */
export interface ObjectFilter {
  readonly protocol: number;
  readonly ipv4: boolean;
  readonly ipv6: boolean;
}

/** The engine's control of armed routes. */
export interface RouteArming {
  /**
   * Starts managing the routes, or replaces their fields (same id, greater generation). A route whose session is Up is added at
   * once. The caller may reuse the objects after the call.
   *
   * @param adopted a previous process may have left the routes in the kernel: the engine looks them up, reports whether they
   * exist, and keeps them while their sessions come Up. Default: false
   */
  arm(routes: readonly ArmedRoute[], adopted?: boolean): void;
  /** Stops managing the routes. `remove` deletes an installed route first. The answer is an outcome with `gone`. */
  disarm(routes: readonly { readonly id: RouteId; readonly generation: number; readonly remove: boolean }[]): void;
  /** Retries the desired operation after a failure. Has no effect if the generation is not the newest. */
  retry(routes: readonly { readonly id: RouteId; readonly generation: number }[]): void;
  /**
   * Begins or ends the maintenance of these sessions; `undefined` stands for all, those that are added later included. Meanwhile
   * no route of theirs is withdrawn on a Down; at the end the routes of those that are not Up are. One changes nothing about the
   * other: a session is in maintenance while it is in either.
   */
  setMaintenance(sessions: readonly SessionId[] | undefined, active: boolean): void;
}

/** Receives what an engine delivers. It is called from the event loop, never from inside a call of the engine. */
export interface EngineListener {
  sessions(records: readonly SessionRecord[]): void;
  routes(outcomes: readonly RouteOutcome[]): void;
  /** A feature does not work as requested, such as a refused realtime option. Once per kind. */
  warning(code: string, message: string): void;
  /** The engine has stopped by itself. Nothing follows. */
  fatal(error: Error): void;
}

/** The number of transitions from one state to another with one cause. */
export interface TransitionCount {
  /** `new`: the session was added. */
  readonly from: State | 'new';
  readonly to: State;
  readonly cause: TransitionCause;
  readonly count: number;
}

/** Counters of one local endpoint. They never decrease, except `sessions`, `neverUp` and `queued`, which are present values. */
export interface EndpointStats {
  readonly iface: string;
  readonly localIP: string;
  readonly sessions: Readonly<Record<State, number>>;
  /** Those of the sessions in service that were never Up. A present value. */
  readonly neverUp: number;
  readonly tx: number;
  /** Packets received for a session. */
  readonly rx: number;
  readonly rxInvalid: Readonly<Record<InvalidReason, number>>;
  readonly unknownPeer: number;
  readonly writeErrors: number;
  /** Packets that were not sent because the send buffer was full. */
  readonly dropped: number;
  readonly timeouts: number;
  /** Those of them after an extension: this host may have caused the silence. */
  readonly localTimeouts: number;
  /** Sessions that went Down since their peer said so: it heard nothing, or has restarted. */
  readonly remoteDowns: number;
  /** Those of them that may be this host's fault: it was late by more than a quarter of the peer's detection time. */
  readonly localRemoteDowns: number;
  /** How often a detection time was extended, since this host may have caused the silence. */
  readonly extensions: number;
  /** Entries in the scheduler's queue: at most two per session. */
  readonly queued: number;
  /** Without those that never happened. */
  readonly transitions: readonly TransitionCount[];
  /** How often a session went Down with each diagnostic sent, by its number (RFC 5880 §4.1); empty in the liveness protocol. */
  readonly localDiagnostics: readonly number[];
  /** As `localDiagnostics`, by the diagnostic received last. */
  readonly remoteDiagnostics: readonly number[];
  /** The time to handle one received packet. */
  readonly handleRx: HistogramStats;
}

/** Counters of the routes of one local endpoint. They never decrease, except `installed`, which is a present value. */
export interface EndpointRouteStats {
  readonly iface: string;
  readonly localIP: string;
  /** Routes that the backend has confirmed. */
  readonly installed: number;
  readonly adds: number;
  readonly addFailures: number;
  readonly deletes: number;
  readonly deleteFailures: number;
  /** Routes that were lost while they had to be installed, and are put back. */
  readonly restored: number;
  /** Those of them that are put back after a delay, since another program deletes them again and again. */
  readonly restoresDelayed: number;
  /** From the first valid packet in Down to the backend's confirmation that the route is installed. */
  readonly convergenceToUp: HistogramStats;
  /** From the first missing packet, or the one that said Down, to the backend's confirmation that the route is deleted. */
  readonly convergenceToDown: HistogramStats;
}

export interface EngineStats {
  /** By local endpoint; packets to addresses without sessions are counted under `0.0.0.0`. */
  readonly endpoints: readonly EndpointStats[];
  /** Of armed routes. */
  readonly routes: readonly EndpointRouteStats[];
  /** Entries in the scheduler's queue: at most two per session. */
  readonly queueLength: number;
  readonly readErrors: number;
  /** See `ManagerStats.socketDrops`. */
  readonly socketDrops: number;
  /** See `ManagerStats.repeatsFiltered`. */
  readonly repeatsFiltered: number;
  /** See `ManagerStats`, also for `sendBufferFull`. */
  readonly sendBufferBytes: number;
  readonly sendBufferFull: number;
  readonly turns: number;
  /** The longest delay of a turn so far. */
  readonly worstTurnDelayUs: number;
  /** How late turns began. */
  readonly turnDelays: readonly DelayBucket[];
  /** How late packets were passed to the system; early ones count as 0. */
  readonly transmitDelays: readonly DelayBucket[];
}

/** A running engine. After `close()` every method but `close()` and `localAddr()` throws `ERR_CLOSED`. */
export interface Engine {
  readonly kind: 'native' | 'js';
  readonly capabilities: Capabilities;
  readonly arming: RouteArming | undefined;
  /** How many sessions of a predecessor go on. */
  readonly resumed: number;
  localAddr(): AddressInfo | undefined;
  /** The paths that cannot work on this host at present. */
  checkPaths(paths: readonly SessionPath[]): PathFault[];
  /**
   * Opens the sockets of multihop sessions if they are not open. To be called before the first such session is added.
   *
   * @throws LivenessError the system's error if an address cannot be bound; the JavaScript engine warns instead
   */
  openMultihop(): void;
  /**
   * The sessions, by index, that this engine cannot tell from others, since it does not know the interface of a received packet.
   * Not defined by an engine that can tell all sessions apart.
   */
  indistinct?(specs: readonly SessionSpec[]): number[];
  /** Starts sessions in Down. Their first packets leave at once; those of many sessions are spread over at most a second. */
  addSessions(specs: readonly SessionSpec[]): void;
  /** Sets other timers or another peer port. */
  updateSessions(specs: readonly SessionSpec[]): void;
  /** Ends sessions, without an AdminDown announcement. */
  removeSessions(ids: readonly SessionId[]): void;
  /** Takes sessions to AdminDown, which is announced for one detection time, or back to Down. */
  setAdminDown(ids: readonly SessionId[], down: boolean): void;
  /** Readings of the given sessions, or of all. Unknown ids are left out. */
  snapshots(ids?: readonly SessionId[]): EngineReading[];
  stats(): EngineStats;
  /**
   * Deletes the next-hop objects that a previous process left: those with numbers of `nextHopObjects` over which no route leads, of
   * whomever, and that no armed route needs. Resolves with how many there were; rejects with the system's error.
   * Not defined by an engine without armed routes.
   */
  sweepObjects?(filter: ObjectFilter): Promise<number>;
  /** Resolves when the engine has taken what it was told before. @throws LivenessError `ERR_ENGINE_STOPPED` if it does not within 5 s */
  ping(): Promise<void>;
  /**
   * Stops threads, socket and timers. With `adminDown`, first announces AdminDown to all peers, for one detection time and 3 s
   * at most. With either of both a successor finds no sessions in the state file. Idempotent. Resolves with the last counters,
   * or `undefined` if the engine had stopped by itself.
   */
  close(options: { adminDown: boolean; forget?: boolean | undefined }): Promise<EngineStats | undefined>;
  ref(): void;
  unref(): void;
}
