/**
 * The deadlines of many sessions: transmits and their pace, detection and its extension, announcements after a change of
 * state. No I/O and no clock; the caller passes times in whole microseconds.
 */
import { Deadline, DeadlineQueue } from './deadline-queue.js';
import type { Random } from './jitter.js';
import { DelayHistogram } from './delay-histogram.js';
import type { Header } from './protocol.js';
import type { SessionCore } from './session-core.js';
import { RecentDelays } from './recent-delays.js';
import type { State } from './state.js';

/** What made a session change its state: the value of the `reason` label of `session_transitions_total`. */
export type TransitionCause = 'register_route' | 'handle_rx' | 'detect_timeout' | 'admin_down';

/** The gap between the first packets of sessions that are added together; shorter if they would take more than a second. */
const PACE_GAP_US = 50;
const PACE_SPAN_US = 1_000_000;

/**
 * The most rounds of the event loop to yield before detection is checked, while datagrams keep arriving. A round reads 32
 * datagrams of a socket, and 8 MiB of buffer hold some 11 000 of the smallest: after these rounds the old ones are read.
 */
export const MOST_ROUNDS = 384;

/** The deadlines of one session. */
export class TimelineEntry<P extends Header = Header> {
  readonly session: SessionCore<P>;
  /** The detection time was extended since the last packet. */
  extended = false;
  /** When the next packet is due. */
  readonly tx: Deadline<this> = new Deadline(this, 'tx');
  /** When detection is checked: never later than the session's detection deadline, possibly earlier. */
  readonly detect: Deadline<this> = new Deadline(this, 'detect');

  constructor(session: SessionCore<P>) {
    this.session = session;
  }

  /** When detection is checked next. */
  get detectScheduled(): number | undefined {
    return this.detect.isQueued ? this.detect.at : undefined;
  }
}

/** Receives packets to send and reports of what happened. */
export interface TimelineListener<T> {
  transmit(entry: T, bytes: Uint8Array): void;
  /**
   * The state changed; `localStallUs` is the longest scheduling delay of this process in the session's detection window, or, where
   * the peer said Down, in the peer's.
   */
  changed(entry: T, from: State, cause: TransitionCause, at: number, localStallUs: number): void;
  /** The detection time was extended: this host may have caused the silence. */
  extended(entry: T): void;
  /** A deadline entered the queue (1) or left it (-1). */
  queued(entry: T, change: 1 | -1): void;
}

export class Timeline<T extends TimelineEntry> {
  /** How late turns began, and packets were sent. */
  readonly turnDelays = new DelayHistogram();
  readonly transmitDelays = new DelayHistogram();
  readonly #random: Random;
  readonly #paceGapUs: number;
  readonly #listener: TimelineListener<T>;
  readonly #queue = new DeadlineQueue<T>();
  readonly #delays = new RecentDelays();
  #lastSocketDrop: number | undefined;
  #pace = 0;

  constructor(maxSessions: number, random: Random, listener: TimelineListener<T>) {
    this.#random = random;
    this.#paceGapUs = Math.min(PACE_GAP_US, Math.floor(PACE_SPAN_US / Math.max(maxSessions, 1)));
    this.#listener = listener;
  }

  /** When a session that is added now sends its first packet: at once, or later if many are added together. */
  paced(now: number): number {
    const firstTx = Math.min(Math.max(this.#pace, now), now + PACE_SPAN_US);
    this.#pace = firstTx + this.#paceGapUs;
    return firstTx;
  }

  /** Adds a session. */
  add(entry: T): void {
    const { nextTx } = entry.session;
    if (nextTx !== undefined) this.#schedule(entry.tx, nextTx);
    this.#scheduleDetection(entry);
  }

  remove(entry: T): void {
    this.#unschedule(entry.tx);
    this.#unschedule(entry.detect);
  }

  /** To be called after the session has accepted a packet. */
  packetAccepted(entry: T): void {
    entry.extended = false;
    this.updateTransmit(entry);
    this.#scheduleDetection(entry);
  }

  /** Moves the next transmit to the session's `nextTx` if that is earlier, and ends or begins periodic transmits as the session does. */
  updateTransmit({ tx, session }: T): void {
    if (session.nextTx === undefined) this.#unschedule(tx);
    else if (!tx.isQueued || session.nextTx < tx.at) this.#schedule(tx, session.nextTx);
  }

  /** To be called after every change of state: reports it, announces it to the peer, and updates the deadlines. */
  changed(now: number, entry: T, from: State, cause: TransitionCause, at: number, localStallUs = 0): void {
    this.#listener.changed(entry, from, cause, at, localStallUs);
    entry.extended = false;
    this.#schedule(entry.tx, entry.session.announce(now));
    this.#scheduleDetection(entry);
  }

  /** As `changed`, by a packet that has arrived; the packet before it arrived at `heardBefore`. */
  changedByPacket(now: number, entry: T, from: State, arrival: number, heardBefore: number | undefined): void {
    const stallUs = this.#stallThatThePeerNoticed(entry.session, from, heardBefore ?? arrival);
    this.changed(now, entry, from, 'handle_rx', arrival, stallUs);
  }

  /** Runs what is due at `now`. Datagrams that arrived before `readUntil` must be handled before. */
  handleTimeout(now: number, readUntil: number): void {
    const postponed: T[] = [];
    for (let popped = this.#queue.popIfDue(now); popped !== undefined; popped = this.#queue.popIfDue(now)) {
      const entry = popped.owner;
      this.#listener.queued(entry, -1);
      if (popped.due === 'tx') {
        this.transmitDelays.note(now - popped.at);
        this.#transmit(now, entry);
        continue;
      }
      const { detectDeadline } = entry.session;
      if (detectDeadline === undefined) continue;
      if (detectDeadline > now) this.#scheduleDetection(entry);
      else if (detectDeadline > readUntil) postponed.push(entry);
      else this.#checkDetection(now, entry);
    }
    for (const entry of postponed) this.#scheduleDetection(entry);
  }

  /** Notes that the caller's turn at `now` began late. */
  noteTurnDelay(now: number, delayUs: number): void {
    this.turnDelays.note(delayUs);
    this.#delays.note(now, delayUs);
  }

  /** Notes that packets were read so late, until `now`. */
  noteReceiveDelay(now: number, delayUs: number): void {
    this.#delays.noteReceive(now, delayUs);
  }

  /** Notes that a full socket buffer dropped datagrams. */
  noteSocketDrops(now: number): void {
    this.#lastSocketDrop = now;
  }

  /** The latest time for the next call of `handleTimeout`. */
  get deadline(): number | undefined {
    return this.#queue.peek();
  }

  get length(): number {
    return this.#queue.length;
  }

  /** The longest scheduling delay so far. */
  get worstTurnDelayUs(): number {
    return this.#delays.longest;
  }

  #transmit(now: number, entry: T): void {
    const { session } = entry;
    const bytes = session.datagram(now);
    if (bytes === undefined) return;
    this.#listener.transmit(entry, bytes);
    const next = session.computeNextTx(now, this.#random);
    if (next !== undefined) this.#schedule(entry.tx, next);
  }

  /** Takes a silent session Down. Once per silence, extends the detection time by a transmit interval if this host may be the cause. */
  #checkDetection(now: number, entry: T): void {
    const { session } = entry;
    const silentSince = session.lastRx ?? now;
    const stallUs = this.#delays.longestSince(silentSince);
    const intervalUs = session.txIntervalUs;
    const dropped = this.#lastSocketDrop !== undefined && this.#lastSocketDrop >= silentSince;
    const late = stallUs > Math.floor(session.detectTimeUs / 4);
    if ((dropped || late) && !entry.extended) {
      entry.extended = true;
      session.extendDetection(now + intervalUs);
      this.#listener.extended(entry);
      this.#scheduleDetection(entry);
      return;
    }
    const from = session.state;
    if (session.expireIfDue(now)) {
      this.changed(now, entry, from, 'detect_timeout', now, entry.extended ? Math.max(stallUs, intervalUs) : stallUs);
    }
  }

  /**
   * Where the peer has just said that a session is Down which was not: the longest delay of this process since a detection time of
   * the peer before the packet that had come before. After that packet the peer judged the session, and it may have missed the
   * packets that were late.
   */
  #stallThatThePeerNoticed(session: SessionCore<Header>, from: State, heardBefore: number): number {
    const fell = (from === 'up' || from === 'init') && session.state === 'down';
    if (!fell || session.lastDownReason !== 'remote_down') return 0;
    return this.#delays.longestSince(heardBefore - session.peerDetectTimeUs);
  }

  /** Keeps the detect entry of the queue no later than the session's deadline. */
  #scheduleDetection(entry: T): void {
    const { detect, session } = entry;
    const { detectDeadline } = session;
    if (detectDeadline === undefined) this.#unschedule(detect);
    else if (!detect.isQueued || detect.at > detectDeadline) this.#schedule(detect, detectDeadline);
  }

  #schedule(deadline: Deadline<T>, at: number): void {
    if (this.#queue.set(deadline, at)) this.#listener.queued(deadline.owner, 1);
  }

  #unschedule(deadline: Deadline<T>): void {
    if (this.#queue.remove(deadline)) this.#listener.queued(deadline.owner, -1);
  }
}
