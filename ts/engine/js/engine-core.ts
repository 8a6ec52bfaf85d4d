/**
 * Sessions by path, over the timeline of their deadlines: no I/O and no clock. The same as the native engine's
 * `engine.rs`; the scenarios hold both to it. Times are whole microseconds that the caller brings, and never go back
 * between calls.
 */
import type { Random } from '../../protocol/jitter.js';
import type { Lateness } from '../../protocol/delay-histogram.js';
import { type ControlPacket, PACKET_LENGTH, receivable } from '../../protocol/packet.js';
import { type Policy, SessionCore, type Timers } from '../../protocol/session-core.js';
import type { DownReason, State } from '../../protocol/state.js';
import { Timeline, type TimelineListener, Tracked, type TransitionCause } from '../../protocol/timeline.js';
import type { InvalidReason, SessionId } from '../engine.js';

/** What a session is keyed by. */
export interface Path {
  readonly iface: string;
  readonly localIP: string;
  readonly peerIP: string;
}

export interface Transmit {
  readonly path: Path;
  readonly peerPort: number;
  /** The session is Down or AdminDown: no peer counts the time to this packet. */
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

/** Where the core counts. */
export interface Counting {
  received(path: Path): void;
  invalid(path: Path, reason: InvalidReason): void;
  unknownPeer(path: Path): void;
  grace(path: Path): void;
  /** An entry came into the queue, or left it. */
  queued(path: Path, change: 1 | -1): void;
  transition(path: Path, from: State, to: State, cause: TransitionCause): void;
  /** A session begins, in Down. */
  added(path: Path): void;
  gone(path: Path, state: State): void;
}

class Slot extends Tracked {
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

/** For the turns in which nothing is to be said. */
const NOTHING: never[] = [];

/**
 * All sessions of one manager. The caller's turn: hand in every datagram that has arrived (`handleDatagram`), run what is
 * due (`handleTimeout`) or asked for, then drain `takeTransmits` and `takeEvents`, then ask `deadline` when to come back.
 */
export class EngineCore implements TimelineListener<Slot> {
  readonly #policy: Policy;
  readonly #counting: Counting;
  readonly #timeline: Timeline<Slot>;
  readonly #byId = new Map<SessionId, Slot>();
  /** By local address and the peer's: one per interface, in the order in which they began. */
  readonly #byPath = new Map<string, Map<string, Slot[]>>();
  #transmits: Transmit[] = [];
  #events: CoreEvent[] = [];

  constructor(policy: Policy, maxSessions: number, random: Random, counting: Counting) {
    this.#policy = policy;
    this.#counting = counting;
    this.#timeline = new Timeline(maxSessions, random, this);
  }

  /** Starts a session in Down. Its first packet leaves at once, or paced where many are added together. */
  addSession(now: number, id: SessionId, path: Path, peerPort: number, timers: Timers, localDiscr: number): void {
    const session = new SessionCore(this.#policy, timers, localDiscr, now, this.#timeline.paced(now));
    const slot = new Slot(id, path, peerPort, session);
    this.#byId.set(id, slot);
    this.#enter(slot);
    this.#timeline.add(slot);
    this.#counting.added(path);
    // What is told has a state that it came from: out of service.
    this.#tell(slot, 'admin_down', 'register_route', now, 0);
  }

  updateSession(now: number, id: SessionId, timers: Timers, peerPort: number): void {
    const slot = this.#byId.get(id);
    if (slot === undefined) return;
    slot.session.setTimers(now, timers);
    slot.peerPort = peerPort;
    this.#timeline.sooner(slot);
  }

  /** Ends a session without a farewell. */
  removeSession(id: SessionId): void {
    const slot = this.#byId.get(id);
    if (slot === undefined) return;
    this.#byId.delete(id);
    this.#leave(slot);
    this.#timeline.remove(slot);
    this.#counting.gone(slot.path, slot.session.state);
  }

  adminDown(now: number, id: SessionId): void {
    const slot = this.#byId.get(id);
    const from = slot?.session.state;
    if (slot === undefined || from === undefined || !slot.session.adminDown(now)) return;
    this.#timeline.changed(now, slot, from, 'admin_down', now);
  }

  adminUp(now: number, id: SessionId): void {
    const slot = this.#byId.get(id);
    if (slot?.session.adminUp(now) === true) this.#timeline.changed(now, slot, 'admin_down', 'register_route', now);
  }

  /** Handles one datagram: counted and dropped, or given to its session. Never answered by itself. */
  handleDatagram(now: number, arrival: number, path: Path, bytes: Uint8Array): void {
    const packet = receivable(bytes);
    if (typeof packet === 'string') {
      this.#counting.invalid(path, packet);
      return;
    }
    const slot = this.#between(path.localIP, path.peerIP)?.find((other) => other.path.iface === path.iface);
    if (slot === undefined) {
      this.#counting.unknownPeer(path);
      return;
    }
    this.#counting.received(slot.path);
    const { session } = slot;
    const wasPassive = session.peer.passive;
    const heard = session.handleRx(arrival, packet);
    if (heard.kind === 'ignored') {
      if (heard.why === 'foreign_discr' || heard.why === 'bad_interval') this.#counting.invalid(slot.path, heard.why);
      return;
    }
    const roundTripUs = session.takeRoundTripUs();
    if (roundTripUs !== undefined && roundTripUs > session.detectTimeUs) {
      this.#events.push({ kind: 'long_round_trip', id: slot.id, atLeastUs: roundTripUs });
    }
    if (heard.kind === 'changed') this.#timeline.changed(now, slot, heard.from, 'handle_rx', arrival);
    else if (session.peer.passive !== wasPassive) this.#events.push({ kind: 'peer_passive', id: slot.id, passive: !wasPassive });
    this.#timeline.heard(slot);
  }

  /** Runs what is due at `now`. The caller has handed in everything that arrived before `readUntil`. */
  handleTimeout(now: number, readUntil: number): void {
    this.#timeline.handleTimeout(now, readUntil);
  }

  /** Notes that the caller's turn at `now` came so much later than it was meant to. */
  noteLateness(now: number, latenessUs: number): void {
    this.#timeline.noteLateness(now, latenessUs);
  }

  /** Notes that datagrams were lost for want of room. */
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

  /** When `handleTimeout` has to be called at the latest. */
  get deadline(): number | undefined {
    return this.#timeline.deadline;
  }

  get queueLength(): number {
    return this.#timeline.length;
  }

  get turnLateness(): Lateness {
    return this.#timeline.turnLateness;
  }

  get transmitLateness(): Lateness {
    return this.#timeline.transmitLateness;
  }

  get worstLatenessUs(): number {
    return this.#timeline.worstLatenessUs;
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

  /** Whether there is a session between two addresses on another interface. */
  hasElsewhere({ iface, localIP, peerIP }: Path): boolean {
    return this.#between(localIP, peerIP)?.some(({ path }) => path.iface !== iface) === true;
  }

  /** The path of the session between two addresses that began last, whatever its interface. */
  pathBetween(localIP: string, peerIP: string): Path | undefined {
    return this.#between(localIP, peerIP)?.at(-1)?.path;
  }

  /** A session, and when its detection is looked at next. */
  session(id: SessionId): Readonly<Pick<Slot, 'session' | 'path' | 'detectScheduled'>> | undefined {
    return this.#byId.get(id);
  }

  /** @internal */
  transmit({ path, peerPort, session }: Slot, packet: ControlPacket): void {
    // Of Node's pool: a buffer of its own would cost more than all that is in it.
    const bytes = Buffer.allocUnsafe(PACKET_LENGTH);
    packet.marshalInto(bytes);
    const isProbe = session.state === 'down' || session.state === 'admin_down';
    this.#transmits.push({ path, peerPort, isProbe, bytes });
  }

  /** @internal */
  changed(slot: Slot, from: State, cause: TransitionCause, at: number, localStallUs: number): void {
    this.#counting.transition(slot.path, from, slot.session.state, cause);
    this.#tell(slot, from, cause, at, localStallUs);
  }

  #tell({ id, session }: Slot, from: State, cause: TransitionCause, at: number, localStallUs: number): void {
    const { state: to, lastDownReason: reason, moments, lastRx } = session;
    const convStart = to === 'up' ? moments.convUpStart : moments.convDownStart;
    const peerPassive = session.peer.passive;
    this.#events.push({ kind: 'transition', id, from, to, reason, cause, at, localStallUs, peerPassive, convStart, lastRx });
  }

  /** @internal */
  grace({ path }: Slot): void {
    this.#counting.grace(path);
  }

  /** @internal */
  queued({ path }: Slot, change: 1 | -1): void {
    this.#counting.queued(path, change);
  }

  #between(localIP: string, peerIP: string): Slot[] | undefined {
    return this.#byPath.get(localIP)?.get(peerIP);
  }

  #enter(slot: Slot): void {
    const { localIP, peerIP } = slot.path;
    const ofAddress = this.#byPath.get(localIP) ?? new Map<string, Slot[]>();
    this.#byPath.set(localIP, ofAddress);
    ofAddress.set(peerIP, [...(ofAddress.get(peerIP) ?? []), slot]);
  }

  #leave(slot: Slot): void {
    const { localIP, peerIP } = slot.path;
    const ofAddress = this.#byPath.get(localIP);
    const rest = ofAddress?.get(peerIP)?.filter((other) => other !== slot) ?? [];
    if (rest.length > 0) ofAddress?.set(peerIP, rest);
    else ofAddress?.delete(peerIP);
    if (ofAddress?.size === 0) this.#byPath.delete(localIP);
  }
}
