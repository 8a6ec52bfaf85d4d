/** The states of a session, on the wire in two bits (RFC 5880 §4.1, §6.2). */
import { expected, LivenessError, messageOf } from '../base/errors.js';

export type State = 'admin_down' | 'down' | 'init' | 'up';

export const State = { AdminDown: 'admin_down', Down: 'down', Init: 'init', Up: 'up' } as const satisfies Record<string, State>;

/** The reason of the last Down; `none` before the first (reference name: `DownReason`). */
export type DownReason = 'none' | 'timeout' | 'remote_admin' | 'local_admin' | 'remote_down';

export const DownReason = {
  None: 'none',
  Timeout: 'timeout',
  RemoteAdmin: 'remote_admin',
  LocalAdmin: 'local_admin',
  RemoteDown: 'remote_down',
} as const satisfies Record<string, DownReason>;

const BY_WIRE = [State.AdminDown, State.Down, State.Init, State.Up] as const;

/** The number of a state on the wire, 0 to 3. @throws LivenessError `ERR_CONFIG` if it is no state */
export function stateToWire(state: State): number {
  const wire = BY_WIRE.indexOf(state);
  if (wire < 0) throw new LivenessError('ERR_CONFIG', expected('state', "'admin_down', 'down', 'init' or 'up'", state));
  return wire;
}

export function isState(value: unknown): value is State {
  return BY_WIRE.includes(value as State);
}

/** The state with a number on the wire, or `unknown(n)` if there is none (reference name: `State.String`). */
export function stateFromWire(wire: number): State | `unknown(${number})` {
  const state = typeof wire === 'number' ? BY_WIRE[wire] : undefined;
  return state ?? (`unknown(${messageOf(wire)})` as `unknown(${number})`);
}
