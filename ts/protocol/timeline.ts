/**
 * When what is to happen to many sessions: transmits with their pace, silence and who is to blame for it, and what follows
 * from every change of state. No I/O and no clock; times are whole microseconds that the caller brings.
 */
import { Deadline, DeadlineQueue } from './deadline-queue.js';
import type { Random } from './jitter.js';
import { Lateness } from './delay-histogram.js';
import type { ControlPacket } from './packet.js';
import type { SessionCore } from './session-core.js';
import { Stalls } from './recent-delays.js';
import type { State } from './state.js';

/** Why a session changed its state: the value of the `reason` label of `session_transitions_total`. */
export type TransitionCause = 'register_route' | 'handle_rx' | 'detect_timeout' | 'admin_down';

/** Sessions added together send their first packets this far apart, or closer where they would not fit into a second. */
const PACE_GAP_US = 50;
const PACE_SPAN_US = 1_000_000;

/**
 * So many rounds of the event loop are yielded, at most, before a session is judged while more and more is read. A round
 * reads 32 datagrams of a socket, and 8 MiB of buffer hold some 11 000 of the smallest: whatever arrived before is read then.
 */
export const MOST_ROUNDS = 384;

/** A session on the timeline. */
export class Tracked {
  readonly session: SessionCore;
  /** A grace was given since the last packet. */
  graced = false;
  /** When the next packet is due. */
  readonly tx: Deadline<this> = new Deadline(this, 'tx');
  /** When silence is looked at. It may be earlier than the session's deadline, never later. */
  readonly detect: Deadline<this> = new Deadline(this, 'detect');

  constructor(session: SessionCore) {
    this.session = session;
  }

  /** When detection is looked at next. */
  get detectScheduled(): number | undefined {
    return this.detect.isQueued ? this.detect.at : undefined;
  }
}

/** Where the timeline tells what is to be done and what was. */
export interface TimelineListener<T> {
  transmit(tracked: T, packet: ControlPacket): void;
  /** The state changed; `localStallUs` is the worst lateness of this process in the session's detection window. */
  changed(tracked: T, from: State, cause: TransitionCause, at: number, localStallUs: number): void;
  /** A detection timeout was put off because the silence may have been our own fault. */
  grace(tracked: T): void;
  /** An entry came into the queue, or left it. */
  queued(tracked: T, change: 1 | -1): void;
}

export class Timeline<T extends Tracked> {
  /** How late turns were, and packets against their due times. */
  readonly turnLateness = new Lateness();
  readonly transmitLateness = new Lateness();
  readonly #random: Random;
  readonly #paceGapUs: number;
  readonly #listener: TimelineListener<T>;
  readonly #queue = new DeadlineQueue<T>();
  readonly #stalls = new Stalls();
  #lastSocketDrop: number | undefined;
  #pace = 0;

  constructor(maxSessions: number, random: Random, listener: TimelineListener<T>) {
    this.#random = random;
    this.#paceGapUs = Math.min(PACE_GAP_US, Math.floor(PACE_SPAN_US / Math.max(maxSessions, 1)));
    this.#listener = listener;
  }

  /** When a session that is added now sends its first packet: at once, or paced where many are added together. */
  paced(now: number): number {
    const firstTx = Math.min(Math.max(this.#pace, now), now + PACE_SPAN_US);
    this.#pace = firstTx + this.#paceGapUs;
    return firstTx;
  }

  /** Takes a session in, to send when it wants to. */
  add(tracked: T): void {
    const { nextTx } = tracked.session;
    if (nextTx !== undefined) this.#schedule(tracked.tx, nextTx);
    this.#scheduleDetection(tracked);
  }

  remove(tracked: T): void {
    this.#unschedule(tracked.tx);
    this.#unschedule(tracked.detect);
  }

  /** Notes that a packet was accepted. */
  heard(tracked: T): void {
    tracked.graced = false;
    this.sooner(tracked);
    this.#scheduleDetection(tracked);
  }

  /** Moves the next packet to where the session wants it by now: never later. */
  sooner({ tx, session }: T): void {
    if (session.nextTx !== undefined && tx.isQueued && session.nextTx < tx.at) this.#schedule(tx, session.nextTx);
  }

  /** What follows from every change: it is told, announced to the peer, and the detection entry agrees with it. */
  changed(now: number, tracked: T, from: State, cause: TransitionCause, at: number, localStallUs = 0): void {
    this.#listener.changed(tracked, from, cause, at, localStallUs);
    tracked.graced = false;
    this.#schedule(tracked.tx, tracked.session.announce(now));
    this.#scheduleDetection(tracked);
  }

  /** Runs what is due at `now`. The caller has handed in everything that arrived before `readUntil`. */
  handleTimeout(now: number, readUntil: number): void {
    const notYet: T[] = [];
    for (let popped = this.#queue.popIfDue(now); popped !== undefined; popped = this.#queue.popIfDue(now)) {
      const tracked = popped.owner;
      this.#listener.queued(tracked, -1);
      if (popped.due === 'tx') {
        this.transmitLateness.note(now - popped.at);
        this.#transmit(now, tracked);
        continue;
      }
      const { detectDeadline } = tracked.session;
      if (detectDeadline === undefined) continue;
      if (detectDeadline > now) this.#scheduleDetection(tracked);
      else if (detectDeadline > readUntil) notYet.push(tracked);
      else this.#judge(now, tracked);
    }
    for (const tracked of notYet) this.#scheduleDetection(tracked);
  }

  /** Notes that the caller's turn at `now` came so much later than it was meant to. */
  noteLateness(now: number, latenessUs: number): void {
    this.turnLateness.note(latenessUs);
    this.#stalls.note(now, latenessUs);
  }

  /** Notes that datagrams were lost for want of room. */
  noteSocketDrops(now: number): void {
    this.#lastSocketDrop = now;
  }

  /** When `handleTimeout` has to be called at the latest. */
  get deadline(): number | undefined {
    return this.#queue.peek();
  }

  get length(): number {
    return this.#queue.length;
  }

  /** The worst lateness noted so far. */
  get worstLatenessUs(): number {
    return this.#stalls.worst;
  }

  #transmit(now: number, tracked: T): void {
    const { session } = tracked;
    this.#listener.transmit(tracked, session.packet(now));
    const next = session.computeNextTx(now, this.#random);
    if (next !== undefined) this.#schedule(tracked.tx, next);
  }

  /** Where the silence may be our own fault the session gets one more transmit interval, once. */
  #judge(now: number, tracked: T): void {
    const { session } = tracked;
    const silentSince = session.lastRx ?? now;
    const stallUs = this.#stalls.worstSince(silentSince);
    const intervalUs = session.txIntervalUs;
    const dropped = this.#lastSocketDrop !== undefined && this.#lastSocketDrop >= silentSince;
    const late = stallUs > Math.floor(session.detectTimeUs / 4);
    if ((dropped || late) && !tracked.graced) {
      tracked.graced = true;
      session.extendDetection(now + intervalUs);
      this.#listener.grace(tracked);
      this.#scheduleDetection(tracked);
      return;
    }
    const from = session.state;
    if (session.expireIfDue(now)) {
      this.changed(now, tracked, from, 'detect_timeout', now, tracked.graced ? Math.max(stallUs, intervalUs) : stallUs);
    }
  }

  /** Sees to it that the queue's detect entry is not later than the session's deadline. */
  #scheduleDetection(tracked: T): void {
    const { detect, session } = tracked;
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
