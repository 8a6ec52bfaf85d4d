/** One reader of the events: as fast as it reads, and no more is kept for it than fits its socket. */
import type { ServerResponse } from 'node:http';

import type { GapEvent } from '../control-api.js';
import type { EventLog, LoggedEvent } from '../event-log.js';
import { beginStream } from './answer.js';

/** A comment so often shows the reader that the agent lives, and the agent that the reader does. */
const KEEP_ALIVE_MS = 15_000;

export class EventStream {
  readonly #log: EventLog;
  readonly #response: ServerResponse;
  /** The number of the last event that was written. */
  #last: number;
  #isFull = false;

  /** @param after the number after which to begin; 0: with the first of this agent; `undefined`: with the next event */
  constructor(log: EventLog, response: ServerResponse, after: number | undefined) {
    this.#log = log;
    this.#response = response;
    this.#last = after === 0 ? log.first - 1 : (after ?? log.last);
  }

  /** Begins the stream. It ends with its connection. */
  run(): void {
    const response = this.#response;
    beginStream(response);
    const forget = this.#log.onEvents(() => this.#write());
    const timer = setInterval(() => {
      if (!this.#isFull) this.#isFull = !response.write(': alive\n\n');
    }, KEEP_ALIVE_MS).unref();
    response.on('drain', () => {
      this.#isFull = false;
      this.#write();
    });
    response.on('close', () => {
      forget();
      clearInterval(timer);
    });
    // The head leaves at once, with the number that a reader resumes after before it has heard any event.
    response.write(`id: ${this.#last}\n\n`);
    this.#write();
  }

  /** Writes until all is written, or the socket takes no more; then its `drain` goes on. */
  #write(): void {
    this.#skipLost();
    while (!this.#isFull && !this.#response.destroyed) {
      const event = this.#log.get(this.#last + 1);
      if (event === undefined) {
        if (this.#last >= this.#log.last) return;
        this.#skipLost();
        continue;
      }
      this.#send(event);
    }
  }

  /** Tells the reader which events are no longer there, or that it asks for those of another agent. */
  #skipLost(): void {
    const { oldest, last } = this.#log;
    if (this.#isFull || (this.#last >= oldest - 1 && this.#last <= last)) return;
    const gap: GapEvent = { type: 'gap', at: new Date().toISOString(), after: this.#last, before: oldest };
    this.#send({ id: oldest - 1, type: 'gap', json: JSON.stringify(gap) });
  }

  #send({ id, type, json }: LoggedEvent): void {
    this.#last = id;
    this.#isFull = !this.#response.write(`id: ${id}\nevent: ${type}\ndata: ${json}\n\n`);
  }
}
