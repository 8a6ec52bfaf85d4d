/** A clock that moves from one pending call to the next. */
import { Heap, HeapEntry } from '../protocol/heap.js';

class PendingCall extends HeapEntry {
  readonly call: () => void;

  constructor(call: () => void) {
    super();
    this.call = call;
  }
}

export class SimulatedClock {
  readonly #calls = new Heap<PendingCall>();
  #now = 0;

  /** Milliseconds since the start. */
  get now(): number {
    return this.#now;
  }

  /** Calls at a time; a time that has passed is now. Calls of one time are made in the order in which they were asked for. */
  at(time: number, call: () => void): { cancel(): void } {
    const pending = new PendingCall(call);
    this.#calls.set(pending, Math.max(time, this.#now));
    return {
      cancel: () => {
        if (pending.isQueued) this.#calls.remove(pending);
      },
    };
  }

  /** Makes the calls of the next so many milliseconds. Between two calls, all promises that can settle do. */
  async run(duration: number): Promise<void> {
    const end = this.#now + duration;
    await promisesSettle();
    for (let next = this.#calls.first; next !== undefined && next.at <= end; next = this.#calls.first) {
      this.#calls.remove(next);
      this.#now = next.at;
      next.call();
      await promisesSettle();
    }
    this.#now = end;
  }
}

/** A turn of the event loop runs what waits for promises that are settled, and what those lead to. */
function promisesSettle(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve);
  });
}
