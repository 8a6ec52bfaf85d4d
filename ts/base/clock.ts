/** The monotonic clock, and the conversion of its times to dates. */
import { expected, LivenessError } from './errors.js';

/**
 * CLOCK_MONOTONIC in milliseconds, with fractions. It is the same in all threads and processes of a host, unlike
 * `performance.now()`, which starts at 0 in every worker.
 */
export function monotonicNow(): number {
  const [seconds, nanoseconds] = process.hrtime();
  return seconds * 1_000 + nanoseconds / 1_000_000;
}

/** The longest wait that a timer supports, in milliseconds. */
export const LONGEST_WAIT_MS = 2 ** 31 - 1;

/** Two readings of the offset may differ by the wall clock's resolution of a millisecond, and by the time between two reads. */
const READING_ERROR_MS = 2;

let lastOffset = Number.NaN;

/**
 * How far the wall clock is ahead of CLOCK_MONOTONIC, in milliseconds. It stays the same until the wall clock is set, so that one
 * time always gives one date.
 */
export function wallOffset(): number {
  const read = readOffset();
  if (!(Math.abs(read - lastOffset) < READING_ERROR_MS)) lastOffset = read;
  return lastOffset;
}

/** Repeats a reading if the process was interrupted between the two clocks. */
function readOffset(): number {
  for (let attempt = 0; ; attempt += 1) {
    const before = monotonicNow();
    const wall = Date.now();
    const after = monotonicNow();
    if (after - before < 0.5 || attempt === 10) return wall - after;
  }
}

/** The date of a time in microseconds of CLOCK_MONOTONIC. */
export function toDate(micros: number, offset = wallOffset()): Date {
  return new Date(offset + micros / 1_000);
}

/** Validates a time of the user and converts it to whole microseconds. @throws LivenessError `ERR_CONFIG` */
export function givenMicros(path: string, milliseconds: unknown): number {
  if (typeof milliseconds !== 'number' || !Number.isFinite(milliseconds)) {
    throw new LivenessError('ERR_CONFIG', expected(path, 'a finite number of milliseconds', milliseconds));
  }
  return toMicros(milliseconds);
}

/** The user's milliseconds as the engines' whole microseconds. */
export function toMicros(milliseconds: number): number {
  return Math.round(milliseconds * 1_000);
}
