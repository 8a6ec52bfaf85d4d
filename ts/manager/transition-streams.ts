/** The streams of transitions that consumers of a manager have open. */
import { addAbortListener } from 'node:events';

import { type StreamLimits, type Transition, TransitionStream } from './transitions.js';

export class TransitionStreams {
  readonly #open = new Set<TransitionStream>();
  readonly #options: StreamLimits;
  #isClosed = false;
  #failure: Error | undefined;

  constructor(options: StreamLimits) {
    this.#options = options;
  }

  /** A stream of all transitions from now on, until the signal aborts. After `close` it has ended; after `fail` it fails. */
  open(signal: AbortSignal | undefined): TransitionStream {
    let abortListener: Disposable | undefined;
    const stream = new TransitionStream({
      ...this.#options,
      onEnd: () => {
        this.#open.delete(stream);
        abortListener?.[Symbol.dispose]();
      },
    });
    if (this.#failure !== undefined) {
      stream.fail(this.#failure);
    } else if (this.#isClosed || signal?.aborted === true) {
      stream.end();
    } else {
      this.#open.add(stream);
      if (signal !== undefined) abortListener = addAbortListener(signal, () => stream.end());
    }
    return stream;
  }

  push(transition: Transition): void {
    for (const stream of this.#open) stream.push(transition);
  }

  /** Ends all streams after the records that they hold. */
  close(): void {
    this.#isClosed = true;
    for (const stream of this.#open) stream.end();
  }

  /** Ends all streams, and those that are opened later, with an error. */
  fail(error: Error): void {
    this.#failure ??= error;
    for (const stream of this.#open) stream.fail(error);
  }
}
