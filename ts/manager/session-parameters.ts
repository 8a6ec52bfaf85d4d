/** The parameters of a session, on which everything that is registered for it has to agree. */
import { toMicros } from '../base/clock.js';
import type { Damping } from '../engine/engine.js';
import type { BfdSessionOptions } from '../protocol/bfd/options.js';
import { DEFAULT_BFD_MULTIHOP_PORT, DEFAULT_BFD_PORT } from '../protocol/bfd/ports.js';
import { DEFAULT_LIVENESS_PORT } from '../protocol/liveness.js';
import type { SessionTimers } from '../protocol/session-core.js';
import type { ResolvedConfig } from './config.js';
import { isSameDamping, toDamping } from './damping-options.js';
import { NO_OPTIONS, type ValidatedOptions } from './register-options.js';
import { isSameAuth } from './session-auth.js';

/** Never changed: sessions share the objects. */
export interface SessionParameters extends SessionTimers {
  readonly peerPort: number;
  readonly multihop: boolean;
  readonly minTtl: number | undefined;
  /** `undefined` in the liveness protocol. */
  readonly bfd: BfdSessionOptions | undefined;
  /** A route stays installed while the peer is AdminDown (RFC 5882 §3.2). */
  readonly keepsOnPeerAdminDown: boolean;
  /** See `ArmedRoute`, also for `damping`. */
  readonly holdUpMs: number;
  readonly damping: Damping | undefined;
}

/** Makes the parameters of the sessions of one manager. Most are those of the configuration, and those of one call are often equal. */
export class ParameterSource {
  readonly #config: ResolvedConfig;
  readonly #defaults: SessionParameters;
  #last: SessionParameters;

  constructor(config: ResolvedConfig) {
    this.#config = config;
    this.#defaults = parametersOf({}, config);
    this.#last = this.#defaults;
  }

  for(options: ValidatedOptions): SessionParameters {
    if (options === NO_OPTIONS) return this.#defaults;
    const parameters = parametersOf(options, this.#config);
    for (const known of [this.#defaults, this.#last]) if (differences(known, parameters).length === 0) return known;
    this.#last = parameters;
    return parameters;
  }
}

/** The names of the options in which two sets of parameters differ. */
export function differences(left: SessionParameters, right: SessionParameters): string[] {
  if (left === right) return [];
  return OPTIONS.filter(([, isEqual]) => !isEqual(left, right)).map(([name]) => name);
}

type IsEqual = (left: SessionParameters, right: SessionParameters) => boolean;

const OPTIONS: readonly (readonly [name: string, isEqual: IsEqual])[] = [
  ['txMin', (left, right) => left.txMinUs === right.txMinUs],
  ['rxMin', (left, right) => left.rxMinUs === right.rxMinUs],
  ['detectMult', (left, right) => left.detectMult === right.detectMult],
  ['port', (left, right) => left.peerPort === right.peerPort],
  ['multihop', (left, right) => left.multihop === right.multihop],
  ['passive', (left, right) => left.bfd?.passive === right.bfd?.passive],
  ['minTtl', (left, right) => left.minTtl === right.minTtl],
  ['auth', (left, right) => isSameAuth(left.bfd?.auth, right.bfd?.auth)],
  ['onPeerAdminDown', (left, right) => left.keepsOnPeerAdminDown === right.keepsOnPeerAdminDown],
  ['holdUp', (left, right) => left.holdUpMs === right.holdUpMs],
  ['damping', (left, right) => isSameDamping(left.damping, right.damping)],
];

function parametersOf(options: ValidatedOptions, config: ResolvedConfig): SessionParameters {
  const { txMin = config.txMin, rxMin = config.rxMin, detectMult = config.detectMult, multihop = false } = options;
  const { port = portOf(config, multihop), passive = false, minTtl, auth, onPeerAdminDown = config.onPeerAdminDown } = options;
  const { holdUp = config.holdUp, damping = config.damping } = options;
  return {
    peerPort: port,
    txMinUs: toMicros(txMin),
    rxMinUs: toMicros(rxMin),
    detectMult,
    multihop,
    minTtl,
    bfd: config.protocol === 'bfd' ? { passive, auth } : undefined,
    keepsOnPeerAdminDown: onPeerAdminDown === 'keep',
    // Rounded up: a wait that is asked for is not left out.
    holdUpMs: Math.ceil(holdUp),
    damping: toDamping(damping),
  };
}

/** The port of a peer that listens where we do. */
function portOf({ protocol, port, multihopPort }: ResolvedConfig, multihop: boolean): number {
  if (protocol === 'liveness') return port || DEFAULT_LIVENESS_PORT;
  return multihop ? multihopPort || DEFAULT_BFD_MULTIHOP_PORT : port || DEFAULT_BFD_PORT;
}
