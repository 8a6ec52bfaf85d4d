/**
 * Sessions by path, and the queue of their deadlines: no I/O and no clock. The same as the native engine's `engine.rs`; the
 * scenarios hold both to it. Times are whole microseconds that the caller brings, and never go back between calls.
 */
import { codeOf } from '../errors.js';
import { DeadlineQueue, type Due } from '../protocol/deadline-queue.js';
import type { Random } from '../protocol/jitter.js';
import { ControlPacket } from '../protocol/packet.js';
import { type Policy, SessionCore, type Timers } from '../protocol/session-core.js';
import { Stalls } from '../protocol/stalls.js';
import type { DownReason, State } from '../protocol/state.js';
import type { InvalidReason, SessionId, TransitionCause } from './engine.js';

/** Sessions registered together send their first packets this far apart, or closer where they would not fit into a second. */
const PACE_GAP_US = 100;
const PACE_SPAN_US = 1_000_000;

/** What a session is keyed by. */
export interface Path {
  readonly iface: string;
  readonly localIP: string;
  readonly peerIP: string;
}

export interface Transmit {
  readonly path: Path;
  readonly peerPort: number;
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
  /** A session enters the world, in AdminDown. */
  added(path: Path): void;
  gone(path: Path, state: State): void;
}

interface Slot {
  readonly id: SessionId;
  readonly path: Path;
  readonly session: SessionCore;
  peerPort: number;
  /** The detect entry of the queue. It may be earlier than the session's deadline, never later. */
  detectScheduled: number | undefined;
  /** A grace was given since the last packet. */
  graced: boolean;
}

/**
 * All sessions of one manager. The caller's turn: hand in every datagram that has arrived (`handleDatagram`), run what is
 * due (`handleTimeout`) or asked for, then drain `takeTransmits` and `takeEvents`, then ask `deadline` when to come back.
 */
export class EngineCore {
  readonly #policy: Policy;
  readonly #maxSessions: number;
  readonly #random: Random;
  readonly #counting: Counting;
  readonly #byId = new Map<SessionId, Slot>();
  readonly #byPath = new Map<string, Slot>();
  readonly #queue = new DeadlineQueue<Slot>();
  readonly #stalls = new Stalls();
  #transmits: Transmit[] = [];
  #events: CoreEvent[] = [];
  #lastSocketDrop: number | undefined;
  #pace = 0;

  constructor(policy: Policy, maxSessions: number, random: Random, counting: Counting) {
    this.#policy = policy;
    this.#maxSessions = maxSessions;
    this.#random = random;
    this.#counting = counting;
  }

  /** Starts a session in Down. Its first packet leaves at once, or paced where many are added together. */
  addSession(now: number, id: SessionId, path: Path, peerPort: number, timers: Timers, localDiscr: number): void {
    const firstTx = this.#paced(now);
    const session = new SessionCore(this.#policy, timers, localDiscr, now, firstTx);
    const slot = { id, path, session, peerPort, detectScheduled: undefined, graced: false };
    this.#byId.set(id, slot);
    this.#byPath.set(keyOf(path), slot);
    this.#schedule(slot, 'tx', firstTx);
    // A session enters the world out of service, and is put into it.
    this.#counting.added(path);
    this.#noteChange(slot, 'admin_down', 'register_route', now, 0);
  }

  updateSession(id: SessionId, timers: Timers, peerPort: number): void {
    const slot = this.#byId.get(id);
    if (slot === undefined) return;
    slot.session.timers = timers;
    slot.peerPort = peerPort;
  }

  /** Ends a session without a farewell. */
  removeSession(id: SessionId): void {
    const slot = this.#byId.get(id);
    if (slot === undefined) return;
    this.#byId.delete(id);
    this.#byPath.delete(keyOf(slot.path));
    this.#unschedule(slot, 'tx');
    this.#unschedule(slot, 'detect');
    this.#counting.gone(slot.path, slot.session.state);
  }

  adminDown(now: number, id: SessionId): void {
    const slot = this.#byId.get(id);
    const from = slot?.session.state;
    if (slot !== undefined && from !== undefined && slot.session.adminDown(now)) this.#afterChange(now, slot, from, 'admin_down', now, 0);
  }

  adminUp(now: number, id: SessionId): void {
    const slot = this.#byId.get(id);
    if (slot?.session.adminUp(now) === true) this.#afterChange(now, slot, 'admin_down', 'register_route', now, 0);
  }

  /** Handles one datagram: counted and dropped, or given to its session. Never answered by itself. */
  handleDatagram(now: number, arrival: number, path: Path, bytes: Uint8Array): void {
    const packet = decode(bytes);
    if (typeof packet === 'string') {
      this.#counting.invalid(path, packet);
      return;
    }
    const slot = this.#byPath.get(keyOf(path));
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
    slot.graced = false;
    const roundTripUs = session.takeRoundTripUs();
    if (roundTripUs !== undefined && roundTripUs > session.detectTimeUs) {
      this.#events.push({ kind: 'long_round_trip', id: slot.id, atLeastUs: roundTripUs });
    }
    if (heard.kind === 'changed') this.#afterChange(now, slot, heard.from, 'handle_rx', arrival, 0);
    else if (session.peer.passive !== wasPassive) this.#events.push({ kind: 'peer_passive', id: slot.id, passive: !wasPassive });
    this.#scheduleDetection(slot);
  }

  /** Runs what is due at `now`. The caller has handed in everything that arrived before `readUntil`. */
  handleTimeout(now: number, readUntil: number): void {
    const notYet: Slot[] = [];
    for (let popped = this.#queue.popIfDue(now); popped !== undefined; popped = this.#queue.popIfDue(now)) {
      const slot = popped.owner;
      this.#counting.queued(slot.path, -1);
      if (popped.due === 'tx') {
        this.#transmit(now, slot);
        continue;
      }
      slot.detectScheduled = undefined;
      const { detectDeadline } = slot.session;
      if (detectDeadline === undefined) continue;
      if (detectDeadline > now) this.#scheduleDetection(slot);
      else if (detectDeadline > readUntil) notYet.push(slot);
      else this.#judge(now, slot);
    }
    for (const slot of notYet) this.#scheduleDetection(slot);
  }

  /** Notes that the caller's turn at `now` came so much later than it was meant to. */
  noteLateness(now: number, latenessUs: number): void {
    this.#stalls.note(now, latenessUs);
  }

  /** Notes that datagrams were lost for want of room. */
  noteSocketDrops(now: number): void {
    this.#lastSocketDrop = now;
  }

  takeTransmits(): Transmit[] {
    const transmits = this.#transmits;
    this.#transmits = [];
    return transmits;
  }

  takeEvents(): CoreEvent[] {
    const events = this.#events;
    this.#events = [];
    return events;
  }

  /** When `handleTimeout` has to be called at the latest. */
  get deadline(): number | undefined {
    return this.#queue.peek();
  }

  get queueLength(): number {
    return this.#queue.length;
  }

  get worstLatenessUs(): number {
    return this.#stalls.worst;
  }

  get sessionIds(): IterableIterator<SessionId> {
    return this.#byId.keys();
  }

  /** A session, and when its detection is looked at next. */
  session(id: SessionId): { session: SessionCore; detectScheduled: number | undefined } | undefined {
    return this.#byId.get(id);
  }

  #transmit(now: number, slot: Slot): void {
    const { session, path, peerPort } = slot;
    this.#transmits.push({ path, peerPort, bytes: session.packet(now).marshal() });
    const next = session.computeNextTx(now, this.#random);
    if (next !== undefined) this.#schedule(slot, 'tx', next);
  }

  /** Where the silence may be our own fault the session gets one more transmit interval, once. */
  #judge(now: number, slot: Slot): void {
    const { session } = slot;
    const silentSince = session.lastRx ?? now;
    const stallUs = this.#stalls.worstSince(silentSince);
    const intervalUs = session.txIntervalUs;
    const dropped = this.#lastSocketDrop !== undefined && this.#lastSocketDrop >= silentSince;
    const late = stallUs > Math.floor(session.detectTimeUs / 4);
    if ((dropped || late) && !slot.graced) {
      slot.graced = true;
      session.extendDetection(now + intervalUs);
      this.#counting.grace(slot.path);
      this.#scheduleDetection(slot);
      return;
    }
    const from = session.state;
    if (session.expireIfDue(now)) {
      this.#afterChange(now, slot, from, 'detect_timeout', now, slot.graced ? Math.max(stallUs, intervalUs) : stallUs);
    }
  }

  /** What follows from every change: it is counted, told, announced to the peer, and the detection entry agrees with it. */
  #afterChange(now: number, slot: Slot, from: State, cause: TransitionCause, at: number, localStallUs: number): void {
    this.#noteChange(slot, from, cause, at, localStallUs);
    slot.graced = false;
    this.#schedule(slot, 'tx', slot.session.announce(now));
    this.#scheduleDetection(slot);
  }

  #noteChange(slot: Slot, from: State, cause: TransitionCause, at: number, localStallUs: number): void {
    const { id, path, session } = slot;
    const { state: to, lastDownReason: reason, moments, lastRx } = session;
    this.#counting.transition(path, from, to, cause);
    const convStart = to === 'up' ? moments.convUpStart : moments.convDownStart;
    const peerPassive = session.peer.passive;
    this.#events.push({ kind: 'transition', id, from, to, reason, cause, at, localStallUs, peerPassive, convStart, lastRx });
  }

  /** Sees to it that the queue's detect entry is not later than the session's deadline. */
  #scheduleDetection(slot: Slot): void {
    const { detectDeadline } = slot.session;
    if (detectDeadline === undefined) {
      if (slot.detectScheduled !== undefined) this.#unschedule(slot, 'detect');
      slot.detectScheduled = undefined;
    } else if (slot.detectScheduled === undefined || slot.detectScheduled > detectDeadline) {
      slot.detectScheduled = detectDeadline;
      this.#schedule(slot, 'detect', detectDeadline);
    }
  }

  #schedule(slot: Slot, due: Due, at: number): void {
    if (this.#queue.set(slot, due, at)) this.#counting.queued(slot.path, 1);
  }

  #unschedule(slot: Slot, due: Due): void {
    if (this.#queue.remove(slot, due)) this.#counting.queued(slot.path, -1);
  }

  #paced(now: number): number {
    const gapUs = Math.min(PACE_GAP_US, Math.floor(PACE_SPAN_US / Math.max(this.#maxSessions, 1)));
    const firstTx = Math.min(Math.max(this.#pace, now), now + PACE_SPAN_US);
    this.#pace = firstTx + gapUs;
    return firstTx;
  }
}

function keyOf({ iface, localIP, peerIP }: Path): string {
  return `${iface} ${localIP} ${peerIP}`;
}

/** What the receive path takes for a packet: well-formed, and without the zeros that mean nothing (RFC 5880 §6.8.6). */
function decode(bytes: Uint8Array): ControlPacket | InvalidReason {
  try {
    const packet = ControlPacket.unmarshal(bytes);
    if (packet.detectMult === 0) return 'bad_detect_mult';
    return packet.localDiscr === 0 ? 'bad_discr' : packet;
  } catch (error) {
    const code = codeOf(error);
    if (code === 'ERR_SHORT_PACKET') return 'short';
    if (code === 'ERR_UNSUPPORTED_VERSION') return 'bad_version';
    if (code === 'ERR_INVALID_LENGTH') return 'bad_len';
    throw error;
  }
}
