/** The engine's queue of deadlines: at most one entry per owner and kind, which is the owner's and stays. */
import { Heap, HeapEntry } from './heap.js';

/** What is due for a session. */
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

  /** Puts a deadline in, or moves the one that is there. True where there was none. */
  set(deadline: Deadline<T>, at: number): boolean {
    const isNew = !deadline.isQueued;
    this.#heap.set(deadline, at);
    return isNew;
  }

  /** Takes a deadline out. True where there was one. */
  remove(deadline: Deadline<T>): boolean {
    if (!deadline.isQueued) return false;
    this.#heap.remove(deadline);
    return true;
  }

  /** Takes out the earliest deadline if it is not later than `now`. */
  popIfDue(now: number): Deadline<T> | undefined {
    const { first } = this.#heap;
    if (first === undefined || first.at > now) return undefined;
    this.#heap.remove(first);
    return first;
  }
}
