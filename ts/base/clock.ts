/** The monotonic clock in milliseconds, and how its times become dates. */
import { expected, LivenessError } from './errors.js';

/**
 * CLOCK_MONOTONIC in milliseconds, fractions included. The same in every thread of a process and, on one host, in
 * every process; `performance.now()` restarts in every worker.
 */
export function monotonicNow(): number {
  const [seconds, nanoseconds] = process.hrtime();
  return seconds * 1_000 + nanoseconds / 1_000_000;
}

/** The longest wait that a timer can take, in milliseconds. */
export const LONGEST_WAIT_MS = 2 ** 31 - 1;

/** Readings of the offset differ by up to a millisecond, which the wall clock leaves out, and by what comes between two clocks. */
const READING_ERROR_MS = 2;

let lastOffset = Number.NaN;

/**
 * How far the wall clock is ahead of CLOCK_MONOTONIC now, in milliseconds. The same each time until the wall clock is set: a
 * moment has one date.
 */
export function wallOffset(): number {
  const read = readOffset();
  if (!(Math.abs(read - lastOffset) < READING_ERROR_MS)) lastOffset = read;
  return lastOffset;
}

/** Where the process was interrupted between the two clocks, the reading is worth nothing. */
function readOffset(): number {
  for (let attempt = 0; ; attempt += 1) {
    const before = monotonicNow();
    const wall = Date.now();
    const after = monotonicNow();
    if (after - before < 0.5 || attempt === 10) return wall - after;
  }
}

/** The wall clock's time of something that happened, or will happen, at so many microseconds of CLOCK_MONOTONIC. */
export function toDate(micros: number, offset = wallOffset()): Date {
  return new Date(offset + micros / 1_000);
}

/** A time that a user gives, in whole microseconds. @throws LivenessError `ERR_CONFIG` where it is none */
export function givenMicros(path: string, milliseconds: unknown): number {
  if (typeof milliseconds !== 'number' || !Number.isFinite(milliseconds)) {
    throw new LivenessError('ERR_CONFIG', expected(path, 'a finite number of milliseconds', milliseconds));
  }
  return toMicros(milliseconds);
}

/** Milliseconds, as users give them, in the engines' whole microseconds. */
export function toMicros(milliseconds: number): number {
  return Math.round(milliseconds * 1_000);
}
