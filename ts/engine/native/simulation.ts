/** The parameters and results of a simulated world. */
import type { DownReason, State } from '../../protocol/state.js';
import type { TransitionCause } from '../engine.js';

/** The quality of one direction of a link. Fields that are left out are 0. Shares are from 0 to 1, times in milliseconds. */
export interface LinkQuality {
  readonly delay?: number | undefined;
  /** The longest additional delay of a packet. */
  readonly jitter?: number | undefined;
  readonly loss?: number | undefined;
  readonly duplicate?: number | undefined;
  /** The share of packets that take twice the longest time. */
  readonly reorder?: number | undefined;
  /** The share of packets that arrive with a bit flipped, or truncated. */
  readonly corrupt?: number | undefined;
}

/** The properties of a host. */
export interface SimulatedHost {
  /** The rules of its sessions. Default: `robust`, as for managers. */
  readonly rules?: 'robust' | 'reference' | undefined;
  /** In milliseconds; default 10. */
  readonly minTxFloor?: number | undefined;
  /** In milliseconds; default 1 000. */
  readonly maxTxCeil?: number | undefined;
  /** In milliseconds; default 1 000. */
  readonly backoffMax?: number | undefined;
  /** Its packets carry the passive flag. */
  readonly passive?: boolean | undefined;
  /** The rate by which its clock is fast, in millionths, −500 to 500. Default: 0. */
  readonly clockPpm?: number | undefined;
  /** The longest delay of a turn of its thread, in milliseconds. Default: 0. */
  readonly lateness?: number | undefined;
}

/** The timers of one side: milliseconds, and a multiplier from 1 to 255. */
export interface SimulatedTimers {
  readonly txMin: number;
  readonly rxMin: number;
  readonly detectMult: number;
}

/** A transition of a session. */
export interface SimulatedTransition {
  /** In simulated milliseconds since the start. */
  readonly at: number;
  readonly host: number;
  readonly pair: number;
  readonly from: State;
  readonly to: State;
  readonly reason: DownReason;
  readonly cause: TransitionCause;
  readonly localStall: number;
}
