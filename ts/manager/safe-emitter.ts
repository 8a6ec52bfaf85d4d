/** An event emitter that calls every listener, even if another one fails. */
import { EventEmitter } from 'node:events';

import { toError } from '../base/errors.js';
import { callGuarded } from '../base/guard.js';

export class SafeEmitter<T extends Record<keyof T, unknown[]>> extends EventEmitter<T> {
  readonly #onFailure: (error: Error, event: string) => void;

  /** `onFailure` gets what a listener throws or rejects with. */
  constructor(onFailure: (error: Error, event: string) => void) {
    super();
    this.#onFailure = onFailure;
  }

  /** Calls every listener. Listeners of `errorMonitor` get an error first, as in Node. */
  protected deliver<K extends keyof T & string>(event: K, ...values: T[K]): void {
    if (event === 'error') this.#call(EventEmitter.errorMonitor, event, values);
    this.#call(event, event, values);
  }

  #call(name: string | symbol, event: string, values: unknown[]): void {
    for (const listener of this.rawListeners(name as never)) {
      callGuarded(
        () => Reflect.apply(listener, this, values) as unknown,
        (thrown) => this.#onFailure(toError(thrown), event),
      );
    }
  }
}
