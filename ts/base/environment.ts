/** The clock, the timers and the random numbers that a manager and the JavaScript engine use: the system's, or simulated ones. */
import { monotonicNow, wallOffset } from './clock.js';
import { randomWord } from './random.js';

/** A pending call. */
export interface Timer {
  cancel(): void;
}

export interface Environment {
  /** Milliseconds of a clock that never goes back. */
  now(): number;
  /** How far the wall clock is ahead of `now`, in milliseconds. */
  wallOffset(): number;
  /** Calls back after so many milliseconds. Unless `ref` is set, the timer keeps no process alive. */
  after(milliseconds: number, call: () => void, options?: { ref: boolean }): Timer;
  /** Calls back once everything that is due now has run. */
  soon(call: () => void): void;
  /** 32 random bits. */
  randomWord(): number;
  /** A random number from 0 to below 1. */
  random(): number;
}

export const SYSTEM: Environment = {
  now: monotonicNow,
  wallOffset,
  after: (milliseconds, call, { ref } = { ref: false }) => {
    const timer = setTimeout(call, milliseconds);
    if (!ref) timer.unref();
    return { cancel: () => clearTimeout(timer) };
  },
  soon: (call) => {
    setImmediate(call);
  },
  randomWord,
  random: () => Math.random(),
};
