/** What a costly call returned, for a moment: many who ask at once get one answer. */
import { monotonicNow } from '../index.js';

/** How old an answer may be, in milliseconds. */
const LIFETIME_MS = 100;

export class SnapshotCache<T> {
  readonly #make: () => T;
  #kept: { readonly value: T; readonly at: number } | undefined;

  constructor(make: () => T) {
    this.#make = make;
  }

  get(): T {
    const now = monotonicNow();
    if (this.#kept === undefined || now - this.#kept.at > LIFETIME_MS) this.#kept = { value: this.#make(), at: now };
    return this.#kept.value;
  }

  /** After a change that the caller of the next `get` must see. */
  clear(): void {
    this.#kept = undefined;
  }
}
