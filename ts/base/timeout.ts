/** A limit on how long to wait for a promise. */

/** What `within` gives for a promise that did not settle in time. */
export const TIMED_OUT = Symbol('timed out');

/**
 * Waits for a promise, but no longer than `milliseconds`. A promise that settles later is ignored.
 *
 * @param options.ref whether the timer keeps the process alive. Default: true
 */
export async function within<T>(promise: Promise<T>, milliseconds: number, { ref = true } = {}): Promise<T | typeof TIMED_OUT> {
  let timer: NodeJS.Timeout | undefined;
  const timeout = new Promise<typeof TIMED_OUT>((resolve) => {
    timer = setTimeout(resolve, milliseconds, TIMED_OUT);
    if (!ref) timer.unref();
  });
  try {
    return await Promise.race([promise, timeout]);
  } finally {
    clearTimeout(timer);
  }
}
