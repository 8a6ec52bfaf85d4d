/** An emitter in which one listener's failure costs no other listener its event. */
import { EventEmitter } from 'node:events';

import { toError } from './errors.js';

export class SafeEmitter<T extends Record<keyof T, unknown[]>> extends EventEmitter<T> {
  readonly #onFailure: (error: Error, event: string) => void;

  /** `onFailure` hears what a listener threw. */
  constructor(onFailure: (error: Error, event: string) => void) {
    super();
    this.#onFailure = onFailure;
  }

  /** Calls every listener, whatever the others do. */
  protected deliver<K extends keyof T & string>(event: K, ...values: T[K]): void {
    for (const listener of this.rawListeners(event as never)) {
      try {
        Reflect.apply(listener, this, values);
      } catch (thrown) {
        this.#onFailure(toError(thrown), event);
      }
    }
  }
}
