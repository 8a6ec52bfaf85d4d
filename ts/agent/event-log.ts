/** The last events of the agent, numbered, for readers that come and go. */
import type { AgentEvent } from './control-api.js';

/** An event as it is sent: one line of JSON. */
export interface LoggedEvent {
  readonly id: number;
  readonly type: AgentEvent['type'];
  readonly json: string;
}

export class EventLog {
  readonly #events: (LoggedEvent | undefined)[];
  readonly #listeners = new Set<() => void>();
  /** The number of the first event of all. */
  readonly first: number;
  #next: number;
  #wakes = false;

  /**
   * @param capacity so many events are kept
   * @param first the number of the first event. Default: the wall clock in milliseconds, so that an agent that is started again
   * gives no number twice, and a reader that resumes learns of the gap
   */
  constructor(capacity: number, first = Date.now()) {
    this.#events = new Array<LoggedEvent | undefined>(capacity);
    this.first = first;
    this.#next = first;
  }

  /** The number of the newest event; one less than the first where there is none yet. */
  get last(): number {
    return this.#next - 1;
  }

  /** The number of the oldest event that is kept. */
  get oldest(): number {
    return Math.max(this.first, this.#next - this.#events.length);
  }

  push(event: AgentEvent): void {
    const id = this.#next;
    this.#next += 1;
    this.#events[id % this.#events.length] = { id, type: event.type, json: JSON.stringify(event) };
    this.#wake();
  }

  /** The event with a number; `undefined` where it is no longer there, or not yet. */
  get(id: number): LoggedEvent | undefined {
    const event = this.#events[id % this.#events.length];
    return event?.id === id ? event : undefined;
  }

  /** Calls a listener when there are new events, until the returned function is called. */
  onEvents(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** One call for all events of a turn of the event loop. */
  #wake(): void {
    if (this.#wakes || this.#listeners.size === 0) return;
    this.#wakes = true;
    setImmediate(() => {
      this.#wakes = false;
      for (const listener of this.#listeners) listener();
    });
  }
}
