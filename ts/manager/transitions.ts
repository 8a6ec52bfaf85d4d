/** Transitions of sessions, as users get them. */
import { toDate } from '../base/clock.js';
import type { SessionRecord, TransitionCause } from '../engine/engine.js';
import type { DownReason, State } from '../protocol/state.js';
import { formatPeer, type Peer } from '../base/route.js';

/** A session changed its state, once or, where the consumer was slow, several times. */
export interface Transition {
  readonly peer: Readonly<Peer>;
  readonly from: State;
  /** The newest state. */
  readonly to: State;
  /** Why the session was last taken Down. */
  readonly reason: DownReason;
  readonly cause: TransitionCause;
  /** When the newest change happened. */
  readonly at: Date;
  /** How many transitions stand behind this record. */
  readonly count: number;
  /** The newest change to Down among them. */
  readonly lastDown?: { readonly at: Date; readonly reason: DownReason; readonly localStall: number };
  /**
   * The worst lateness of this process since the session's last packet, in milliseconds: the answer to "was it the peer
   * or was it me".
   */
  readonly localStall: number;
  /** From the arrival of the peer's last packet to this change, in milliseconds; only where silence was the cause. */
  readonly silence?: number;
}

export function toTransition(peer: Readonly<Peer>, record: SessionRecord): Transition {
  const { from, to, reason, cause, atUs, count, lastDown, localStallUs, lastRxUs } = record;
  const down = lastDown && { at: toDate(lastDown.atUs), reason: lastDown.reason, localStall: lastDown.localStallUs / 1_000 };
  const localStall = localStallUs / 1_000;
  const silence = cause === 'detect_timeout' && lastRxUs !== undefined ? (atUs - lastRxUs) / 1_000 : undefined;
  return {
    peer,
    from,
    to,
    reason,
    cause,
    at: toDate(atUs),
    count,
    localStall,
    ...(down === undefined ? {} : { lastDown: down }),
    ...(silence === undefined ? {} : { silence }),
  };
}

/** What a stream needs to know of those whom it serves. */
export interface TransitionStreamOptions {
  /** When more records than this wait, those of ended sessions are dropped. */
  readonly limit: number;
  /** Whether there is a session with a peer. */
  readonly exists: (peer: Peer) => boolean;
  /** So many records of sessions that have ended were dropped: nobody had read them. */
  readonly onDropped: (count: number) => void;
  /** It has ended, one way or another. */
  readonly onEnd: () => void;
}

/** Holds what one slow consumer has not taken yet: one record per session, with the newest state. */
export class TransitionStream implements AsyncIterableIterator<Transition> {
  readonly #pending = new Map<string, Transition>();
  readonly #waiting: Reader[] = [];
  readonly #options: TransitionStreamOptions;
  #ended = false;
  #failure: Error | undefined;

  constructor(options: TransitionStreamOptions) {
    this.#options = options;
  }

  push(transition: Transition): void {
    const reader = this.#waiting.shift();
    if (reader !== undefined) {
      reader.resolve({ done: false, value: transition });
      return;
    }
    const key = formatPeer(transition.peer);
    const earlier = this.#pending.get(key);
    this.#pending.set(key, earlier === undefined ? transition : joined(earlier, transition));
    if (this.#pending.size > this.#options.limit) this.#dropEnded();
  }

  /** Nothing follows but what is already here. */
  end(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#options.onEnd();
    for (const reader of this.#waiting.splice(0)) reader.resolve({ done: true, value: undefined });
  }

  /** As `end`, but whoever reads what follows is told of the failure, once. */
  fail(error: Error): void {
    if (this.#ended) return;
    const first = this.#waiting.shift();
    if (first === undefined) this.#failure = error;
    else first.reject(error);
    this.end();
  }

  next(): Promise<IteratorResult<Transition, undefined>> {
    const [first] = this.#pending;
    if (first !== undefined) {
      this.#pending.delete(first[0]);
      return Promise.resolve({ done: false, value: first[1] });
    }
    const failure = this.#failure;
    this.#failure = undefined;
    if (failure !== undefined) return Promise.reject(failure);
    if (this.#ended) return Promise.resolve({ done: true, value: undefined });
    return new Promise((resolve, reject) => this.#waiting.push({ resolve, reject }));
  }

  return(): Promise<IteratorResult<Transition, undefined>> {
    this.#pending.clear();
    this.#failure = undefined;
    this.end();
    return Promise.resolve({ done: true, value: undefined });
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  /** All of them at once, so that looking for them costs a transition little. */
  #dropEnded(): void {
    const before = this.#pending.size;
    for (const [key, { peer }] of this.#pending) if (!this.#options.exists(peer)) this.#pending.delete(key);
    const count = before - this.#pending.size;
    if (count > 0) this.#options.onDropped(count);
  }
}

interface Reader {
  readonly resolve: (result: IteratorResult<Transition, undefined>) => void;
  readonly reject: (error: Error) => void;
}

function joined(earlier: Transition, later: Transition): Transition {
  const lastDown = later.lastDown ?? earlier.lastDown;
  return { ...later, from: earlier.from, count: earlier.count + later.count, ...(lastDown === undefined ? {} : { lastDown }) };
}
