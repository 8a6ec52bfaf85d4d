/** The transitions that users see, and the stream that holds them for a slow consumer. */
import { toDate } from '../base/clock.js';
import type { SessionRecord, TransitionCause } from '../engine/engine.js';
import type { DownReason, State } from '../protocol/state.js';
import { formatPeer, type Peer } from '../base/route.js';
import { diagnosticFromWire, type WireDiagnostic } from '../protocol/bfd/diagnostic.js';

/** One transition of a session, or several if the consumer was slow. */
export interface Transition {
  readonly peer: Readonly<Peer>;
  readonly from: State;
  /** The newest state. */
  readonly to: State;
  /** The reason of the last Down. */
  readonly reason: DownReason;
  readonly cause: TransitionCause;
  /** When the newest transition happened. */
  readonly at: Date;
  /** The number of transitions in this record. */
  readonly count: number;
  /** The session is Up, or was at some time since it was registered: what was never Up did not fail. */
  readonly everUp: boolean;
  /** The newest transition to Down among them. */
  readonly lastDown?: { readonly at: Date; readonly reason: DownReason; readonly localStall: number };
  /**
   * For how long this host was late, in milliseconds: since the session's last packet, where it is silent; within the peer's detection
   * time, where the peer says Down. It tells whether this host may be the cause. 0 where it was late by less than a millisecond.
   */
  readonly localStall: number;
  /** From the arrival of the peer's last packet to this transition, in milliseconds; only after a timeout. */
  readonly silence?: number;
  /** Only in BFD: the diagnostic that we send since the newest transition (RFC 5880 §4.1). */
  readonly localDiag?: WireDiagnostic;
  /** Only in BFD: the diagnostic that the peer has sent last. */
  readonly remoteDiag?: WireDiagnostic;
}

/** @param offset from `wallOffset` */
export function toTransition(peer: Readonly<Peer>, record: SessionRecord, offset: number): Transition {
  const { from, to, reason, cause, atUs, count, lastDown, localStallUs, lastRxUs, everUp, localDiag, remoteDiag } = record;
  const down = lastDown && { at: toDate(lastDown.atUs, offset), reason: lastDown.reason, localStall: lastDown.localStallUs / 1_000 };
  const localStall = localStallUs / 1_000;
  const silence = cause === 'detect_timeout' && lastRxUs !== undefined ? (atUs - lastRxUs) / 1_000 : undefined;
  return {
    peer,
    from,
    to,
    reason,
    cause,
    at: toDate(atUs, offset),
    count,
    everUp,
    localStall,
    ...(down === undefined ? {} : { lastDown: down }),
    ...(silence === undefined ? {} : { silence }),
    ...(localDiag === undefined ? {} : { localDiag: diagnosticFromWire(localDiag) }),
    ...(remoteDiag === undefined ? {} : { remoteDiag: diagnosticFromWire(remoteDiag) }),
  };
}

/** The limit of a stream of transitions, and what it calls. */
export interface StreamLimits {
  /** When more records than this wait, those of ended sessions are dropped. */
  readonly limit: number;
  /** Whether a session with a peer exists. */
  readonly exists: (peer: Peer) => boolean;
  /** Unread records of ended sessions were dropped. */
  readonly onDropped: (count: number) => void;
}

/** The options of one stream. */
export interface TransitionStreamOptions extends StreamLimits {
  /** The stream has ended. */
  readonly onEnd: () => void;
}

/** Holds the unread transitions of one consumer: one record per session, with the newest state. */
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

  /** Ends the stream after the records that it holds. */
  end(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#options.onEnd();
    for (const reader of this.#waiting.splice(0)) reader.resolve({ done: true, value: undefined });
  }

  /** Ends the stream with an error, which the next read gets once, after the records that it holds. */
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

  /** Drops all records of ended sessions at once, so that the search is rare. */
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
