/** The building block `Session`: the core of one session, in milliseconds. */

import * as v from 'valibot';

import { isUnicast } from '../base/address.js';
import { ConfigError, expected, LivenessError } from '../base/errors.js';
import { duration, field, integer, object, parsed } from '../base/fields.js';
import { boundIssues, DEFAULT_BOUNDS, MAX_BACKOFF, MAX_INTERVAL } from '../base/intervals.js';
import { givenMicros, monotonicNow, toMicros, wallOffset } from '../base/clock.js';
import { parseInterface, parseRoute, type Peer, type Route } from '../base/route.js';
import { ControlPacket } from './packet.js';
import { randomWord } from '../base/random.js';
import { REFERENCE, ROBUST, type Rules } from './rules.js';
import { SessionCore } from './session-core.js';
import { type SessionStatus, readSession, statusWith } from './session-status.js';
import type { State } from './state.js';
import { DEFAULT_LIVENESS_PORT, LIVENESS } from './liveness.js';

/** The options of a session. Durations are milliseconds, fractions allowed. */
export interface SessionOptions {
  /** The addresses of both sides, and the interface. Required. */
  peer: Peer;
  /** The desired transmit interval, within [minTxFloor, maxTxCeil]. Required. */
  txMin: number;
  /** The required receive interval, within [minTxFloor, maxTxCeil]. Required. */
  rxMin: number;
  /** The number of intervals whose silence means Down, 1 to 255. Required. */
  detectMult: number;
  /** The peer's UDP port, 1 to 65 535. Default: 44880. */
  port?: number | undefined;
  /** Our discriminator, 1 to 4 294 967 295. Default: a random one. */
  localDiscr?: number | undefined;
  /** The shortest interval. Default: 50. */
  minTxFloor?: number | undefined;
  /** The longest transmit interval. Default: 1 000. */
  maxTxCeil?: number | undefined;
  /** The longest interval while Down. Default: maxTxCeil. */
  backoffMax?: number | undefined;
  /** A route to show in the snapshot. Default: none. */
  route?: Route | undefined;
  /** `REFERENCE` or `ROBUST`. Default: `REFERENCE`. */
  rules?: Rules | undefined;
}

/** The state of a `Session`. `route` is that of its options. */
export interface StandaloneSnapshot extends SessionStatus {
  readonly route: Readonly<Route> | undefined;
}

const SCHEMA = object({
  peer: object({
    iface: field<string>('the name of an interface, 1 to 15 characters', (value) => holds(() => parseInterface(value))),
    localIP: field<string>('an IPv4 unicast address', isAddress),
    peerIP: field<string>('an IPv4 unicast address', isAddress),
  }),
  txMin: duration(MAX_INTERVAL),
  rxMin: duration(MAX_INTERVAL),
  detectMult: integer(1, 255),
  port: v.optional(integer(1, 65_535)),
  localDiscr: v.optional(integer(1, 0xffff_ffff)),
  minTxFloor: v.optional(duration(MAX_INTERVAL)),
  maxTxCeil: v.optional(duration(MAX_INTERVAL)),
  backoffMax: v.optional(duration(MAX_BACKOFF)),
  route: v.optional(field<Route>('a route', (value) => holds(() => parseRoute(value)))),
  rules: v.optional(field<Rules>('REFERENCE or ROBUST', (value) => value === REFERENCE || value === ROBUST)),
});

/**
 * One liveness session with a peer (reference name: `Session`). It reads no clock and sends nothing: the caller passes times in
 * milliseconds of CLOCK_MONOTONIC (`monotonicNow()`), sends packets, and checks deadlines.
 */
export class Session {
  readonly peer: Readonly<Peer>;
  /** The peer's UDP port. */
  readonly port: number;
  /** @internal For the scheduler. */
  readonly core: SessionCore;
  readonly #route: Readonly<Route> | undefined;

  /** @throws ConfigError `ERR_CONFIG`, with every issue at once */
  constructor(options: SessionOptions) {
    const { peer, txMin, rxMin, detectMult, port, localDiscr, route, rules, ...bounds } = checked(options);
    this.peer = Object.freeze({ ...peer });
    this.port = port;
    this.#route = route;
    const policy = {
      protocol: LIVENESS,
      rules,
      minTxFloorUs: toMicros(bounds.minTxFloor),
      maxTxCeilUs: toMicros(bounds.maxTxCeil),
      backoffMaxUs: toMicros(bounds.backoffMax),
      requireDiscriminator: false,
      identity: undefined,
    };
    const now = toMicros(monotonicNow());
    this.core = new SessionCore(policy, { txMinUs: toMicros(txMin), rxMinUs: toMicros(rxMin), detectMult }, localDiscr, now, now);
  }

  /** Reference name: `Session.GetState`. */
  getState(): State {
    return this.core.state;
  }

  /**
   * Handles a packet that arrived at `now` (reference name: `Session.HandleRx`). Returns whether the state changed.
   *
   * @throws LivenessError `ERR_INVALID_PACKET` if it is no ControlPacket, `ERR_CONFIG` if `now` is no time
   */
  handleRx(now: number, packet: ControlPacket): boolean {
    if (!(packet instanceof ControlPacket)) {
      throw new LivenessError('ERR_INVALID_PACKET', expected('packet', 'a ControlPacket', packet));
    }
    return this.core.handleRx(givenMicros('now', now), packet).kind === 'changed';
  }

  /**
   * Renews a detection deadline that has passed to one detection time from `now` (reference name: `Session.ArmDetect`). Returns
   * the deadline; `undefined` in Down and AdminDown, and before the first packet.
   */
  armDetect(now: number): number | undefined {
    const deadline = this.core.armDetect(givenMicros('now', now));
    return deadline === undefined ? undefined : deadline / 1_000;
  }

  /** Takes the session Down if its detection deadline has passed (reference name: `Session.ExpireIfDue`). Returns whether it did. */
  expireIfDue(now: number): boolean {
    return this.core.expireIfDue(givenMicros('now', now));
  }

  /**
   * Notes a transmit at `now` and returns the time of the next one: after the interval with jitter, and with backoff while Down
   * (reference name: `Session.ComputeNextTx`).
   *
   * @param random returns a number from 0 to 1, excluding 1. Default: `Math.random`
   * @throws LivenessError `ERR_CONFIG` if `now` is no time or `random` no function
   */
  computeNextTx(now: number, random: () => number = Math.random): number {
    if (typeof random !== 'function') throw new LivenessError('ERR_CONFIG', expected('random', 'a function', random));
    const draw = (): number => Math.floor(random() * 2 ** 32) >>> 0;
    const at = givenMicros('now', now);
    return (this.core.computeNextTx(at, draw) ?? at) / 1_000;
  }

  /** The packet to send at `now`. */
  packet(now: number): ControlPacket {
    return this.core.packet(givenMicros('now', now));
  }

  /** Reference name: `Session.Snapshot`. */
  snapshot(): StandaloneSnapshot {
    const { core } = this;
    const reading = readSession(core, core.detectDeadline);
    const status = statusWith(this.peer, reading, wallOffset(), this.#route, [], false, undefined);
    const { routes: _, multihop: __, heldUntil: ___, ...snapshot } = status;
    return snapshot;
  }
}

function checked(options: SessionOptions) {
  const { issues } = parsed(SCHEMA, options);
  const wrong = new Set(issues.map((issue) => issue.path));
  const given: Partial<SessionOptions> = typeof options === 'object' && (options as unknown) !== null ? options : {};
  const { minTxFloor = DEFAULT_BOUNDS.minTxFloor, maxTxCeil = DEFAULT_BOUNDS.maxTxCeil } = given;
  const { backoffMax = maxTxCeil, txMin, rxMin } = given;
  issues.push(...boundIssues({ minTxFloor, maxTxCeil, backoffMax, txMin, rxMin }, wrong));
  if (issues.length > 0) throw new ConfigError(issues);
  const { peer, detectMult, port = DEFAULT_LIVENESS_PORT, localDiscr = randomDiscriminator(), rules = REFERENCE } = options;
  const route = given.route === undefined ? undefined : parseRoute(given.route);
  return {
    peer,
    txMin: options.txMin,
    rxMin: options.rxMin,
    detectMult,
    port,
    localDiscr,
    route,
    rules,
    minTxFloor,
    maxTxCeil,
    backoffMax,
  };
}

/** RFC 5880 §6.8.1: never zero, and not predictable. */
export function randomDiscriminator(): number {
  for (;;) {
    const discr = randomWord();
    if (discr !== 0) return discr;
  }
}

function isAddress(value: unknown): boolean {
  return typeof value === 'string' && isUnicast(value);
}

/** Whether a check does not throw. */
function holds(check: () => unknown): boolean {
  try {
    check();
    return true;
  } catch {
    return false;
  }
}
