/** The monotonic clock in milliseconds, and how its times become dates. */

/**
 * CLOCK_MONOTONIC in milliseconds, fractions included. The same in every thread of a process and, on one host, in
 * every process; `performance.now()` restarts in every worker.
 */
export function monotonicNow(): number {
  const [seconds, nanoseconds] = process.hrtime();
  return seconds * 1_000 + nanoseconds / 1_000_000;
}

/** The wall clock's time of something that happened, or will happen, at so many microseconds of CLOCK_MONOTONIC. */
export function toDate(micros: number): Date {
  return new Date(Date.now() + micros / 1_000 - monotonicNow());
}

/** Milliseconds, as users give them, in the engines' whole microseconds. */
export function toMicros(milliseconds: number): number {
  return Math.round(milliseconds * 1_000);
}
