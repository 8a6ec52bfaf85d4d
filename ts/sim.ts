/**
 * Simulated worlds. `SimulatedNetwork` runs managers, to try a policy. `Simulation` runs sessions, to try settings: the native engine on a virtual clock, over a network that loses, delays and damages
 * packets. The seed determines everything. Each run checks invariants: no false Down, every pair recovers, no host sends faster
 * than agreed.
 */
import * as v from 'valibot';

import type { NativeSimulationHandle } from './engine/native/binding.js';
import { loadBinding } from './engine/native/load.js';
import type { LinkQuality, SimulatedHost, SimulatedTimers, SimulatedTransition } from './engine/native/simulation.js';
import { codeOf, LivenessError, messageOf } from './base/errors.js';
import { choice, flag, object, optionsOf } from './base/fields.js';
import type { State } from './protocol/state.js';

export type { DownReason, State } from './protocol/state.js';
export type { TransitionCause } from './protocol/timeline.js';
export { SimulatedNetwork, type SimulatedNetworkOptions } from './sim/simulated-network.js';
export type { LinkQuality, SimulatedHost, SimulatedTimers, SimulatedTransition } from './engine/native/simulation.js';

/** The addon checks the ranges. Here only types and names are checked. */
const number = v.number('a number');
const numbers = <const K extends string>(names: readonly K[]): Record<K, v.OptionalSchema<typeof number, undefined>> =>
  Object.fromEntries(names.map((name) => [name, v.optional(number)])) as never;

const QUALITY = numbers(['delay', 'jitter', 'loss', 'duplicate', 'reorder', 'corrupt']);
const QUALITY_SCHEMA = object(QUALITY);
const WORLD_SCHEMA = object({ seed: v.optional(number), ...QUALITY });
const TIMERS_SCHEMA = object({ txMin: number, rxMin: number, detectMult: number });
const HOST_SCHEMA = object({
  rules: v.optional(choice(['robust', 'reference'])),
  passive: v.optional(flag),
  ...numbers(['minTxFloor', 'maxTxCeil', 'backoffMax', 'clockPpm', 'lateness']),
});

/**
 * Hosts and pairs of sessions between them. Hosts and pairs are named by the numbers that `addHost` and `connect` return.
 *
 * Every method throws a `LivenessError` with code `ERR_CONFIG` for an argument that cannot be simulated, and names the field. The
 * constructor throws `ERR_ENGINE_UNAVAILABLE` without the native addon.
 */
export class Simulation {
  readonly #world: NativeSimulationHandle;

  /** Creates a world without hosts. `seed` is a whole number; the quality is the default of all links. */
  constructor(options?: { readonly seed?: number | undefined } & LinkQuality) {
    const { seed = 1, ...quality } = optionsOf(WORLD_SCHEMA, options);
    const { NativeSimulation } = loadBinding();
    this.#world = guarded(() => new NativeSimulation(seed, quality));
  }

  /** Simulated milliseconds since the start. */
  get now(): number {
    return this.#world.now;
  }

  addHost(host?: SimulatedHost): number {
    const given = optionsOf(HOST_SCHEMA, host, 'host');
    return guarded(() => this.#world.addHost(given));
  }

  /** Creates a pair of sessions between two hosts. By default both have the same timers. */
  connect(host: number, peer: number, timers: SimulatedTimers, secondTimers: SimulatedTimers = timers): number {
    const given = optionsOf(TIMERS_SCHEMA, timers, 'timers');
    const second = secondTimers === timers ? given : optionsOf(TIMERS_SCHEMA, secondTimers, 'secondTimers');
    return guarded(() => this.#world.connect(host, peer, given, second));
  }

  /** Changes the quality of one direction of a link. */
  setQuality(from: number, to: number, quality: LinkQuality): void {
    const given = optionsOf(QUALITY_SCHEMA, quality, 'quality');
    guarded(() => this.#world.setQuality(from, to, given));
  }

  /** Cuts one direction of a link. Packets on their way still arrive. */
  cut(from: number, to: number): void {
    guarded(() => this.#world.cut(from, to));
  }

  heal(from: number, to: number): void {
    guarded(() => this.#world.heal(from, to));
  }

  /** Ends the process of a host and starts another one after `pause` milliseconds, with new discriminators. */
  restart(host: number, pause = 0): void {
    guarded(() => this.#world.restart(host, pause));
  }

  /** Stops the thread of a host for `duration` milliseconds. */
  stall(host: number, duration: number): void {
    guarded(() => this.#world.stall(host, duration));
  }

  /** Takes a host's session of a pair out of service. */
  adminDown(pair: number, host: number): void {
    guarded(() => this.#world.setAdminDown(pair, host, true));
  }

  adminUp(pair: number, host: number): void {
    guarded(() => this.#world.setAdminDown(pair, host, false));
  }

  /**
   * Runs for `duration` simulated milliseconds, and returns the transitions in their order.
   *
   * @throws LivenessError `ERR_SIMULATION` if an invariant does not hold: a fault of the engine, please report it
   */
  run(duration: number): SimulatedTransition[] {
    return guarded(() => this.#world.run(duration));
  }

  /** The states of a pair's two sessions; `undefined` while the process of a host does not run. */
  states(pair: number): [State | undefined, State | undefined] {
    const [first, second] = guarded(() => this.#world.states(pair));
    return [first ?? undefined, second ?? undefined];
  }
}

function guarded<T>(call: () => T): T {
  try {
    return call();
  } catch (error) {
    // N-API itself refuses an argument of a wrong type, with a code of its own.
    const code = codeOf(error);
    throw new LivenessError(code?.startsWith('ERR_') === true ? code : 'ERR_CONFIG', messageOf(error), { cause: error });
  }
}
