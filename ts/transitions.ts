/** Transitions of sessions, as users get them. */
import { toDate } from './clock.js';
import type { SessionRecord, TransitionCause } from './engine/engine.js';
import type { DownReason, State } from './protocol/state.js';
import { formatPeer, type Peer } from './route.js';

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

/** Holds what one slow consumer has not taken yet: one record per session, with the newest state. */
export class TransitionStream implements AsyncIterableIterator<Transition> {
  readonly #pending = new Map<string, Transition>();
  readonly #waiting: ((result: IteratorResult<Transition, undefined>) => void)[] = [];
  readonly #onEnd: (stream: TransitionStream) => void;
  #ended = false;

  constructor(onEnd: (stream: TransitionStream) => void) {
    this.#onEnd = onEnd;
  }

  push(transition: Transition): void {
    const reader = this.#waiting.shift();
    if (reader !== undefined) {
      reader({ done: false, value: transition });
      return;
    }
    const key = formatPeer(transition.peer);
    const earlier = this.#pending.get(key);
    this.#pending.set(key, earlier === undefined ? transition : joined(earlier, transition));
  }

  /** Nothing follows but what is already here. */
  end(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#onEnd(this);
    for (const reader of this.#waiting.splice(0)) reader({ done: true, value: undefined });
  }

  next(): Promise<IteratorResult<Transition, undefined>> {
    const [first] = this.#pending;
    if (first !== undefined) {
      this.#pending.delete(first[0]);
      return Promise.resolve({ done: false, value: first[1] });
    }
    if (this.#ended) return Promise.resolve({ done: true, value: undefined });
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  return(): Promise<IteratorResult<Transition, undefined>> {
    this.#pending.clear();
    this.end();
    return Promise.resolve({ done: true, value: undefined });
  }

  [Symbol.asyncIterator](): this {
    return this;
  }
}

function joined(earlier: Transition, later: Transition): Transition {
  const lastDown = later.lastDown ?? earlier.lastDown;
  return { ...later, from: earlier.from, count: earlier.count + later.count, ...(lastDown === undefined ? {} : { lastDown }) };
}
