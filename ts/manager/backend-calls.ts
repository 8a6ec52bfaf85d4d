/** Calls to the routing backend that a method of the manager waits for. */
import { closedError, LivenessError, messageOf } from '../base/errors.js';
import type { Environment } from '../base/environment.js';
import { TIMED_OUT, within } from '../base/timeout.js';

/** Limits how long a call may take, and rejects all pending ones when the manager closes. */
export class BackendCalls {
  readonly #routeTimeout: number;
  readonly #environment: Environment;
  readonly #rejects = new Set<(error: Error) => void>();
  #closed = false;

  /** @param routeTimeout how long a call may take, in milliseconds */
  constructor(routeTimeout: number, environment: Environment) {
    this.#routeTimeout = routeTimeout;
    this.#environment = environment;
  }

  /** The backend's answer. @throws what the backend throws; LivenessError `ERR_ROUTE_BACKEND` for a late answer, `ERR_CLOSED` */
  async call<T>(call: () => T | Promise<T>): Promise<T> {
    const answer = await this.untilClosed(within(Promise.resolve().then(call), this.#routeTimeout, { environment: this.#environment }));
    if (answer !== TIMED_OUT) return answer;
    throw new LivenessError('ERR_ROUTE_BACKEND', `no answer within ${this.#routeTimeout} ms`);
  }

  /** As `call`, for a listing: every failure but `ERR_CLOSED` is `ERR_ROUTE_BACKEND`. */
  async list<T>(call: () => T | Promise<T>): Promise<T> {
    try {
      return await this.call(call);
    } catch (cause) {
      if (cause instanceof LivenessError && cause.code === 'ERR_CLOSED') throw cause;
      throw new LivenessError('ERR_ROUTE_BACKEND', `The backend cannot list its routes: ${messageOf(cause)}`, { cause });
    }
  }

  /** The promise; rejects with `ERR_CLOSED` if the manager closes first. */
  async untilClosed<T>(promise: Promise<T>): Promise<T> {
    if (this.#closed) throw closedError();
    let reject: (error: Error) => void = () => undefined;
    const closed = new Promise<never>((_, rejectClosed) => (reject = rejectClosed));
    this.#rejects.add(reject);
    try {
      return await Promise.race([promise, closed]);
    } finally {
      this.#rejects.delete(reject);
    }
  }

  close(): void {
    this.#closed = true;
    for (const reject of this.#rejects) reject(closedError());
  }
}
