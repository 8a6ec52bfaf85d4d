/** What a simulated world is made of, as the addon takes and gives it. */
import type { DownReason, State } from '../../protocol/state.js';
import type { TransitionCause } from '../engine.js';

/** How well packets get from one host to another; what is left out is 0. Shares are from 0 to 1, times in milliseconds. */
export interface LinkQuality {
  readonly delay?: number | undefined;
  /** A packet takes up to so much longer. */
  readonly jitter?: number | undefined;
  readonly loss?: number | undefined;
  readonly duplicate?: number | undefined;
  /** Such a packet takes twice the longest time. */
  readonly reorder?: number | undefined;
  /** Such a packet arrives with a bit flipped, or cut short. */
  readonly corrupt?: number | undefined;
}

/** What a host is like. */
export interface SimulatedHost {
  /** The rules that its sessions go by. Default `robust`, as the managers'. */
  readonly rules?: 'robust' | 'reference' | undefined;
  /** In milliseconds; default 10. */
  readonly minTxFloor?: number | undefined;
  /** In milliseconds; default 1 000. */
  readonly maxTxCeil?: number | undefined;
  /** In milliseconds; default 1 000. */
  readonly backoffMax?: number | undefined;
  /** It says of itself that it only observes. */
  readonly passive?: boolean | undefined;
  /** By so many millionths its clock gains, −500 to 500. Default 0. */
  readonly clockPpm?: number | undefined;
  /** Each turn of its thread comes up to so many milliseconds late. Default 0. */
  readonly lateness?: number | undefined;
}

/** One side's timers: milliseconds, and a multiplier from 1 to 255. */
export interface SimulatedTimers {
  readonly txMin: number;
  readonly rxMin: number;
  readonly detectMult: number;
}

/** A change of a session's state. */
export interface SimulatedTransition {
  /** In simulated milliseconds since the beginning. */
  readonly at: number;
  readonly host: number;
  readonly pair: number;
  readonly from: State;
  readonly to: State;
  readonly reason: DownReason;
  readonly cause: TransitionCause;
  readonly localStall: number;
}
