/** A queue of deadlines. Each owner has one `Deadline` object per kind, which is in the queue or not. */
import { Heap, HeapEntry } from './heap.js';

/** The kind of a deadline: a transmit, or a check of detection. */
export type Due = 'tx' | 'detect';

/** One of the deadlines of an owner, in the queue or not. */
export class Deadline<T> extends HeapEntry {
  readonly owner: T;
  readonly due: Due;

  constructor(owner: T, due: Due) {
    super();
    this.owner = owner;
    this.due = due;
  }
}

export class DeadlineQueue<T> {
  readonly #heap = new Heap<Deadline<T>>();

  get length(): number {
    return this.#heap.length;
  }

  /** The earliest deadline. */
  peek(): number | undefined {
    return this.#heap.first?.at;
  }

  /** Adds or moves a deadline. Returns true if it was not in the queue. */
  set(deadline: Deadline<T>, at: number): boolean {
    const isNew = !deadline.isQueued;
    this.#heap.set(deadline, at);
    return isNew;
  }

  /** Removes a deadline. Returns true if it was in the queue. */
  remove(deadline: Deadline<T>): boolean {
    if (!deadline.isQueued) return false;
    this.#heap.remove(deadline);
    return true;
  }

  /** Removes and returns the earliest deadline if it is not later than `now`. */
  popIfDue(now: number): Deadline<T> | undefined {
    const { first } = this.#heap;
    if (first === undefined || first.at > now) return undefined;
    this.#heap.remove(first);
    return first;
  }
}
