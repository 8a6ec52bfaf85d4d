/** The engine's queue of deadlines: at most one entry per owner and kind, moved in place. */
import { Heap, type HeapEntry } from './heap.js';

/** What is due for a session. */
export type Due = 'tx' | 'detect';

interface Entry<T> extends HeapEntry {
  readonly owner: T;
  readonly due: Due;
}

export class DeadlineQueue<T extends object> {
  readonly #heap = new Heap<Entry<T>>();
  readonly #entries: Record<Due, Map<T, Entry<T>>> = { tx: new Map(), detect: new Map() };

  get length(): number {
    return this.#heap.length;
  }

  /** The earliest deadline. */
  peek(): number | undefined {
    return this.#heap.first?.at;
  }

  /** Puts a deadline in, or moves the one that is there. True where there was none. */
  set(owner: T, due: Due, at: number): boolean {
    const known = this.#entries[due].get(owner);
    if (known === undefined) this.#entries[due].set(owner, this.#heap.push({ at, owner, due }));
    else this.#heap.set(known, at);
    return known === undefined;
  }

  /** Takes a deadline out. True where there was one. */
  remove(owner: T, due: Due): boolean {
    const entry = this.#entries[due].get(owner);
    if (entry !== undefined) this.#take(entry);
    return entry !== undefined;
  }

  /** Takes out the earliest deadline if it is not later than `now`. */
  popIfDue(now: number): { owner: T; due: Due; at: number } | undefined {
    const { first } = this.#heap;
    if (first === undefined || first.at > now) return undefined;
    this.#take(first);
    return first;
  }

  #take(entry: Entry<T>): void {
    this.#entries[entry.due].delete(entry.owner);
    this.#heap.remove(entry);
  }
}
