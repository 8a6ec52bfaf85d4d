/** The states of a session, on the wire in two bits (RFC 5880 §4.1, §6.2). */
import { expected, LivenessError, messageOf } from '../base/errors.js';

export type State = 'admin_down' | 'down' | 'init' | 'up';

export const State = { AdminDown: 'admin_down', Down: 'down', Init: 'init', Up: 'up' } as const satisfies Record<string, State>;

/** Why a session was last taken Down; `none` until that has happened. Reference name: `DownReason`. */
export type DownReason = 'none' | 'timeout' | 'remote_admin' | 'local_admin' | 'remote_down';

export const DownReason = {
  None: 'none',
  Timeout: 'timeout',
  RemoteAdmin: 'remote_admin',
  LocalAdmin: 'local_admin',
  RemoteDown: 'remote_down',
} as const satisfies Record<string, DownReason>;

const BY_WIRE = [State.AdminDown, State.Down, State.Init, State.Up] as const;

/** The two bits that stand for a state: 0 to 3. @throws LivenessError `ERR_CONFIG` where it is no state */
export function stateToWire(state: State): number {
  const wire = BY_WIRE.indexOf(state);
  if (wire < 0) throw new LivenessError('ERR_CONFIG', expected('state', "'admin_down', 'down', 'init' or 'up'", state));
  return wire;
}

export function isState(value: unknown): value is State {
  return BY_WIRE.includes(value as State);
}

/** The state that a number stands for, or `unknown(n)` for what the wire cannot mean. Reference name: `State.String`. */
export function stateFromWire(wire: number): State | `unknown(${number})` {
  const state = typeof wire === 'number' ? BY_WIRE[wire] : undefined;
  return state ?? (`unknown(${messageOf(wire)})` as `unknown(${number})`);
}
