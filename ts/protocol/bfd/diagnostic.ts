/** Why a session last changed its state, as BFD packets say it (RFC 5880 §4.1 `Diag`). */
import { expected, LivenessError, messageOf } from '../../base/errors.js';
import type { DownReason } from '../state.js';

/** A diagnostic that RFC 5880 §4.1 defines. */
export type Diagnostic =
  | 'none'
  | 'detection_time_expired'
  | 'echo_failed'
  | 'neighbour_signalled_down'
  | 'forwarding_plane_reset'
  | 'path_down'
  | 'concatenated_path_down'
  | 'administratively_down'
  | 'reverse_concatenated_path_down';

/** The diagnostics of RFC 5880 §4.1, in the order of their numbers, 0 to 8. */
export const Diagnostic = {
  None: 'none',
  /** The detection time expired (§6.8.4). */
  DetectionTimeExpired: 'detection_time_expired',
  /** The Echo function failed (§6.8.5). */
  EchoFailed: 'echo_failed',
  /** The neighbour signalled that its session is Down (§6.8.6). */
  NeighbourSignalledDown: 'neighbour_signalled_down',
  /** The forwarding plane was reset (§6.8.15). */
  ForwardingPlaneReset: 'forwarding_plane_reset',
  /** The path is down (§6.8.17). */
  PathDown: 'path_down',
  /** The path beyond the sender is down (§6.8.17). */
  ConcatenatedPathDown: 'concatenated_path_down',
  /** The session is out of service (§6.8.16). */
  AdministrativelyDown: 'administratively_down',
  /** The path beyond the sender is down in the other direction (§6.8.17). */
  ReverseConcatenatedPathDown: 'reverse_concatenated_path_down',
} as const satisfies Record<string, Diagnostic>;

/** A diagnostic as a packet has it: RFC 5880 reserves the numbers 9 to 31. */
export type WireDiagnostic = Diagnostic | `unknown(${number})`;

const BY_WIRE: readonly Diagnostic[] = Object.values(Diagnostic);

/** How many diagnostics RFC 5880 defines. */
export const DIAGNOSTIC_COUNT = BY_WIRE.length;

/** The greatest number that fits into the five bits of the field. */
export const MOST_DIAGNOSTIC = 31;

/**
 * The number of a diagnostic on the wire, 0 to 31 (RFC 5880 §4.1).
 *
 * @throws LivenessError `ERR_CONFIG` if it is neither a diagnostic nor `unknown(n)` of a reserved number
 */
export function diagnosticToWire(diagnostic: WireDiagnostic): number {
  const wire = numberOf(diagnostic);
  if (wire !== undefined) return wire;
  throw new LivenessError('ERR_CONFIG', expected('diagnostic', `one of ${BY_WIRE.join(', ')}`, diagnostic));
}

/** The diagnostic with a number on the wire, or `unknown(n)` if RFC 5880 defines none. */
export function diagnosticFromWire(wire: number): WireDiagnostic {
  const diagnostic = typeof wire === 'number' ? BY_WIRE[wire] : undefined;
  return diagnostic ?? (`unknown(${messageOf(wire)})` as `unknown(${number})`);
}

export function isWireDiagnostic(value: unknown): value is WireDiagnostic {
  return numberOf(value) !== undefined;
}

/** The diagnostic that says why a session went Down. */
export function diagnosticOf(reason: DownReason): Diagnostic {
  switch (reason) {
    case 'none':
      return 'none';
    // RFC 5880 §6.8.4.
    case 'timeout':
      return 'detection_time_expired';
    // RFC 5880 §6.8.6: "Neighbor signaled session down", for a received Down and a received AdminDown.
    case 'remote_admin':
    case 'remote_down':
      return 'neighbour_signalled_down';
    // RFC 5880 §6.8.16.
    case 'local_admin':
      return 'administratively_down';
  }
}

function numberOf(value: unknown): number | undefined {
  const defined = BY_WIRE.indexOf(value as Diagnostic);
  if (defined >= 0) return defined;
  const reserved = typeof value === 'string' ? /^unknown\((\d{1,2})\)$/.exec(value)?.[1] : undefined;
  const wire = Number(reserved);
  return reserved !== undefined && wire >= DIAGNOSTIC_COUNT && wire <= MOST_DIAGNOSTIC ? wire : undefined;
}
