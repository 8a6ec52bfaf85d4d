/** A queue of events of sessions, ordered by time. */
import { expected, LivenessError } from '../base/errors.js';
import type { Due } from './deadline-queue.js';
import { Heap, HeapEntry } from './heap.js';
import { Session } from './session.js';

/** An event of a session. */
export interface QueuedEvent {
  /** The time in milliseconds of CLOCK_MONOTONIC (`monotonicNow()`). */
  readonly at: number;
  /** `tx`: send a packet. `detect`: check detection. */
  readonly kind: Due;
  readonly session: Session;
}

/** The result of `popIfDue`: an event that is due, or the wait until the earliest one; `undefined` if the queue is empty. */
export type Popped = { readonly event: QueuedEvent; readonly wait?: never } | { readonly event?: never; readonly wait: number | undefined };

class Entry extends HeapEntry {
  readonly event: QueuedEvent;

  constructor(event: QueuedEvent) {
    super();
    this.event = event;
  }
}

/** Events with equal times leave the queue in the order in which they were pushed (reference name: `EventQueue`). */
export class EventQueue {
  readonly #heap = new Heap<Entry>();
  readonly #counts = new Map<string, number>();

  /** The number of events (reference name: `EventQueue.Len`). */
  get length(): number {
    return this.#heap.length;
  }

  /** @throws LivenessError `ERR_CONFIG` if it is no event */
  push(event: QueuedEvent): void {
    const { at, kind, session } = checked(event);
    this.#count(session, 1);
    this.#heap.set(new Entry({ at, kind, session }), at);
  }

  /** Removes and returns the earliest event; `undefined` if there is none. */
  pop(): QueuedEvent | undefined {
    const { first } = this.#heap;
    if (first === undefined) return undefined;
    this.#heap.remove(first);
    this.#count(first.event.session, -1);
    return first.event;
  }

  /**
   * Removes and returns the earliest event if it is due; otherwise returns the milliseconds until it is.
   *
   * @throws LivenessError `ERR_CONFIG` if `now` is no time
   */
  popIfDue(now: number): Popped {
    check(typeof now === 'number' && !Number.isNaN(now), 'now', 'a number of milliseconds', now);
    const at = this.#heap.first?.at;
    if (at === undefined) return { wait: undefined };
    const event = at <= now ? this.pop() : undefined;
    return event === undefined ? { wait: at - now } : { event };
  }

  /**
   * The number of events of sessions with an interface and a local address.
   *
   * @throws LivenessError `ERR_CONFIG` if they are no text
   */
  countFor(iface: string, localIP: string): number {
    check(typeof iface === 'string', 'iface', 'the name of an interface', iface);
    check(typeof localIP === 'string', 'localIP', 'an address', localIP);
    return this.#counts.get(keyOf(iface, localIP)) ?? 0;
  }

  #count({ peer }: Session, change: 1 | -1): void {
    const key = keyOf(peer.iface, peer.localIP);
    const count = (this.#counts.get(key) ?? 0) + change;
    if (count === 0) this.#counts.delete(key);
    else this.#counts.set(key, count);
  }
}

function checked(event: QueuedEvent): QueuedEvent {
  const given: { at?: unknown; kind?: unknown; session?: unknown } = typeof event === 'object' && (event as unknown) !== null ? event : {};
  check(typeof given.at === 'number' && Number.isFinite(given.at), 'at', 'a finite number of milliseconds', given.at);
  check(given.kind === 'tx' || given.kind === 'detect', 'kind', "'tx' or 'detect'", given.kind);
  check(given.session instanceof Session, 'session', 'a Session', given.session);
  return event;
}

function check(holds: boolean, path: string, what: string, got: unknown): void {
  if (!holds) throw new LivenessError('ERR_CONFIG', expected(path, what, got));
}

function keyOf(iface: string, localIP: string): string {
  return `${iface} ${localIP}`;
}
