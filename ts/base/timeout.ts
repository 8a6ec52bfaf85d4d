/** A limit on how long to wait for a promise. */
import { type Environment, SYSTEM, type Timer } from './environment.js';

/** What `within` gives for a promise that did not settle in time. */
export const TIMED_OUT = Symbol('timed out');

/**
 * Waits for a promise, but no longer than `milliseconds`. A promise that settles later is ignored.
 *
 * @param options.ref whether the timer keeps the process alive. Default: true
 * @param options.environment whose time counts. Default: the system's
 */
export async function within<T>(
  promise: Promise<T>,
  milliseconds: number,
  { ref = true, environment = SYSTEM }: { ref?: boolean; environment?: Environment } = {},
): Promise<T | typeof TIMED_OUT> {
  let timer: Timer | undefined;
  const timeout = new Promise<typeof TIMED_OUT>((resolve) => {
    timer = environment.after(milliseconds, () => resolve(TIMED_OUT), { ref });
  });
  try {
    return await Promise.race([promise, timeout]);
  } finally {
    timer?.cancel();
  }
}
