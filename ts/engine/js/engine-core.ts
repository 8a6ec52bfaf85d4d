/**
 * All sessions of an engine, found by path and by id. No I/O and no clock: the caller passes times in whole microseconds,
 * which never go back between calls. The native engine's core does the same; the scenarios in `test/conformance` hold both
 * to it.
 */
import type { Random } from '../../protocol/jitter.js';
import type { DelayHistogram } from '../../protocol/delay-histogram.js';
import type { ControlPacket } from '../../protocol/packet.js';
import { type Policy, SessionCore, type SessionTimers } from '../../protocol/session-core.js';
import type { DownReason, State } from '../../protocol/state.js';
import { Timeline, type TimelineListener, TimelineEntry, type TransitionCause } from '../../protocol/timeline.js';
import type { InvalidReason, SessionId } from '../engine.js';

/** The key of a session. */
export interface Path {
  readonly iface: string;
  readonly localIP: string;
  readonly peerIP: string;
}

export interface Transmit {
  readonly path: Path;
  readonly peerPort: number;
  /** The session is Down or AdminDown: no peer runs a detection timer for it. */
  readonly isProbe: boolean;
  readonly bytes: Uint8Array;
}

export interface CoreTransition {
  readonly kind: 'transition';
  readonly id: SessionId;
  readonly from: State;
  readonly to: State;
  readonly reason: DownReason;
  readonly cause: TransitionCause;
  readonly at: number;
  readonly localStallUs: number;
  readonly peerPassive: boolean;
  readonly convStart: number | undefined;
  readonly lastRx: number | undefined;
}

export type CoreEvent =
  | CoreTransition
  | { readonly kind: 'peer_passive'; readonly id: SessionId; readonly passive: boolean }
  | { readonly kind: 'long_round_trip'; readonly id: SessionId; readonly atLeastUs: number };

/** Counts what happens. */
export interface CoreCounters {
  received(path: Path): void;
  invalid(path: Path, reason: InvalidReason): void;
  unknownPeer(path: Path): void;
  extended(path: Path): void;
  /** A deadline entered the queue (1) or left it (-1). */
  queued(path: Path, change: 1 | -1): void;
  transition(path: Path, from: State, to: State, cause: TransitionCause): void;
  /** A session was added, in Down. */
  added(path: Path): void;
  removed(path: Path, state: State): void;
}

class CoreSession extends TimelineEntry {
  readonly id: SessionId;
  readonly path: Path;
  peerPort: number;

  constructor(id: SessionId, path: Path, peerPort: number, session: SessionCore) {
    super(session);
    this.id = id;
    this.path = path;
    this.peerPort = peerPort;
  }
}

/** Shared by all turns without results. */
const NOTHING: never[] = [];

/**
 * In each turn the caller passes every datagram that has arrived (`handleDatagram`), runs what is due (`handleTimeout`) or
 * requested, drains `takeTransmits` and `takeEvents`, and waits until `deadline`.
 */
export class EngineCore implements TimelineListener<CoreSession> {
  readonly #policy: Policy;
  readonly #counters: CoreCounters;
  readonly #timeline: Timeline<CoreSession>;
  readonly #byId = new Map<SessionId, CoreSession>();
  /** By local address and the peer's address: one session per interface, in the order of their start. */
  readonly #byPath = new Map<string, Map<string, CoreSession[]>>();
  #transmits: Transmit[] = [];
  #events: CoreEvent[] = [];

  constructor(policy: Policy, maxSessions: number, random: Random, counters: CoreCounters) {
    this.#policy = policy;
    this.#counters = counters;
    this.#timeline = new Timeline(maxSessions, random, this);
  }

  /** Starts a session in Down. Its first packet leaves at once, or later if many sessions are added together. */
  addSession(now: number, id: SessionId, path: Path, peerPort: number, timers: SessionTimers, localDiscr: number): void {
    const session = new SessionCore(this.#policy, timers, localDiscr, now, this.#timeline.paced(now));
    const known = new CoreSession(id, path, peerPort, session);
    this.#byId.set(id, known);
    this.#index(known);
    this.#timeline.add(known);
    this.#counters.added(path);
    // A record of a transition needs a previous state: a session that does not run is out of service.
    this.#report(known, 'admin_down', 'register_route', now, 0);
  }

  updateSession(now: number, id: SessionId, timers: SessionTimers, peerPort: number): void {
    const known = this.#byId.get(id);
    if (known === undefined) return;
    known.session.setTimers(now, timers);
    known.peerPort = peerPort;
    this.#timeline.advanceTransmit(known);
  }

  /** Ends a session without an AdminDown announcement. */
  removeSession(id: SessionId): void {
    const known = this.#byId.get(id);
    if (known === undefined) return;
    this.#byId.delete(id);
    this.#unindex(known);
    this.#timeline.remove(known);
    this.#counters.removed(known.path, known.session.state);
  }

  adminDown(now: number, id: SessionId): void {
    const known = this.#byId.get(id);
    const from = known?.session.state;
    if (known === undefined || from === undefined || !known.session.adminDown(now)) return;
    this.#timeline.changed(now, known, from, 'admin_down', now);
  }

  adminUp(now: number, id: SessionId): void {
    const known = this.#byId.get(id);
    if (known?.session.adminUp(now) === true) this.#timeline.changed(now, known, 'admin_down', 'register_route', now);
  }

  /** Handles one datagram: passes its packet to the session, or counts and drops it. A datagram is never answered directly. */
  handleDatagram(now: number, arrival: number, path: Path, bytes: Uint8Array): void {
    const packet = this.#policy.protocol.decode(bytes);
    if (typeof packet === 'string') {
      this.#counters.invalid(path, packet);
      return;
    }
    const known = this.#between(path.localIP, path.peerIP)?.find((candidate) => candidate.path.iface === path.iface);
    if (known === undefined) {
      this.#counters.unknownPeer(path);
      return;
    }
    this.#counters.received(known.path);
    const { session } = known;
    const wasPassive = session.peer.passive;
    const outcome = session.handleRx(arrival, packet);
    if (outcome.kind === 'ignored') {
      if (outcome.why === 'foreign_discr' || outcome.why === 'bad_interval') this.#counters.invalid(known.path, outcome.why);
      return;
    }
    const roundTripUs = session.takeRoundTripUs();
    if (roundTripUs !== undefined && roundTripUs > session.detectTimeUs) {
      this.#events.push({ kind: 'long_round_trip', id: known.id, atLeastUs: roundTripUs });
    }
    if (outcome.kind === 'changed') this.#timeline.changed(now, known, outcome.from, 'handle_rx', arrival);
    else if (session.peer.passive !== wasPassive) this.#events.push({ kind: 'peer_passive', id: known.id, passive: !wasPassive });
    this.#timeline.packetAccepted(known);
  }

  /** Runs what is due at `now`. Datagrams that arrived before `readUntil` must be handled before. */
  handleTimeout(now: number, readUntil: number): void {
    this.#timeline.handleTimeout(now, readUntil);
  }

  /** Notes that the caller's turn at `now` began late. */
  noteTurnDelay(now: number, delayUs: number): void {
    this.#timeline.noteTurnDelay(now, delayUs);
  }

  /** Notes that a full socket buffer dropped datagrams. */
  noteSocketDrops(now: number): void {
    this.#timeline.noteSocketDrops(now);
  }

  takeTransmits(): Transmit[] {
    const transmits = this.#transmits;
    if (transmits.length === 0) return NOTHING;
    this.#transmits = [];
    return transmits;
  }

  takeEvents(): CoreEvent[] {
    const events = this.#events;
    if (events.length === 0) return NOTHING;
    this.#events = [];
    return events;
  }

  /** The latest time for the next call of `handleTimeout`. */
  get deadline(): number | undefined {
    return this.#timeline.deadline;
  }

  get queueLength(): number {
    return this.#timeline.length;
  }

  get turnDelays(): DelayHistogram {
    return this.#timeline.turnDelays;
  }

  get transmitDelays(): DelayHistogram {
    return this.#timeline.transmitDelays;
  }

  get worstTurnDelayUs(): number {
    return this.#timeline.worstTurnDelayUs;
  }

  get sessionCount(): number {
    return this.#byId.size;
  }

  get sessionIds(): IterableIterator<SessionId> {
    return this.#byId.keys();
  }

  /** Whether any session has a local address. */
  usesAddress(localIP: string): boolean {
    return this.#byPath.has(localIP);
  }

  /** Whether a session between the same addresses exists on another interface. */
  hasElsewhere({ iface, localIP, peerIP }: Path): boolean {
    return this.#between(localIP, peerIP)?.some(({ path }) => path.iface !== iface) === true;
  }

  /** The path of the latest session between two addresses, on any interface. */
  pathBetween(localIP: string, peerIP: string): Path | undefined {
    return this.#between(localIP, peerIP)?.at(-1)?.path;
  }

  /** A session, and when its detection is checked next. */
  session(id: SessionId): Readonly<Pick<CoreSession, 'session' | 'path' | 'detectScheduled'>> | undefined {
    return this.#byId.get(id);
  }

  /** @internal */
  transmit({ path, peerPort, session }: CoreSession, packet: ControlPacket): void {
    // From Node's pool: a buffer of its own would cost more than writing the packet.
    const bytes = Buffer.allocUnsafe(this.#policy.protocol.packetLength);
    this.#policy.protocol.encode(packet, bytes);
    const isProbe = session.state === 'down' || session.state === 'admin_down';
    this.#transmits.push({ path, peerPort, isProbe, bytes });
  }

  /** @internal */
  changed(known: CoreSession, from: State, cause: TransitionCause, at: number, localStallUs: number): void {
    this.#counters.transition(known.path, from, known.session.state, cause);
    this.#report(known, from, cause, at, localStallUs);
  }

  #report({ id, session }: CoreSession, from: State, cause: TransitionCause, at: number, localStallUs: number): void {
    const { state: to, lastDownReason: reason, timestamps, lastRx } = session;
    const convStart = to === 'up' ? timestamps.convUpStart : timestamps.convDownStart;
    const peerPassive = session.peer.passive;
    this.#events.push({ kind: 'transition', id, from, to, reason, cause, at, localStallUs, peerPassive, convStart, lastRx });
  }

  /** @internal */
  extended({ path }: CoreSession): void {
    this.#counters.extended(path);
  }

  /** @internal */
  queued({ path }: CoreSession, change: 1 | -1): void {
    this.#counters.queued(path, change);
  }

  #between(localIP: string, peerIP: string): CoreSession[] | undefined {
    return this.#byPath.get(localIP)?.get(peerIP);
  }

  #index(known: CoreSession): void {
    const { localIP, peerIP } = known.path;
    const ofAddress = this.#byPath.get(localIP) ?? new Map<string, CoreSession[]>();
    this.#byPath.set(localIP, ofAddress);
    ofAddress.set(peerIP, [...(ofAddress.get(peerIP) ?? []), known]);
  }

  #unindex(known: CoreSession): void {
    const { localIP, peerIP } = known.path;
    const ofAddress = this.#byPath.get(localIP);
    const rest = ofAddress?.get(peerIP)?.filter((session) => session !== known) ?? [];
    if (rest.length > 0) ofAddress?.set(peerIP, rest);
    else ofAddress?.delete(peerIP);
    if (ofAddress?.size === 0) this.#byPath.delete(localIP);
  }
}
