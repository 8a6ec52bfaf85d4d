/**
 * A simulated world for trying a policy out: the engine that ships, on a virtual clock, over a network that loses, delays
 * and damages packets. Everything follows from the seed. While it runs, what must never happen is watched for: a false
 * Down, a pair that does not recover, a transmit rate beyond the agreed one.
 */
import * as v from 'valibot';

import type { NativeSimulationHandle } from './engine/native/binding.js';
import { loadBinding } from './engine/native/load.js';
import type { LinkQuality, SimulatedHost, SimulatedTimers, SimulatedTransition } from './engine/native/simulation.js';
import { codeOf, LivenessError, messageOf } from './base/errors.js';
import { choice, flag, object, optionsOf } from './base/fields.js';
import type { State } from './protocol/state.js';

export type { LinkQuality, SimulatedHost, SimulatedTimers, SimulatedTransition } from './engine/native/simulation.js';

/** The world itself knows what each may be; here it is seen to that it is a number, and that no name is misspelt. */
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
 * Hosts and the pairs of sessions between them. Hosts and pairs are numbers, as the methods that make them return.
 *
 * Every method throws a `LivenessError` with code `ERR_CONFIG` that names the field where it was given what cannot be
 * simulated; the constructor throws `ERR_ENGINE_UNAVAILABLE` without the native addon.
 */
export class Simulation {
  readonly #world: NativeSimulationHandle;

  /** A world without hosts. `seed` is a whole number; the quality is that of all links that were given none of their own. */
  constructor(options?: { readonly seed?: number | undefined } & LinkQuality) {
    const { seed = 1, ...quality } = optionsOf(WORLD_SCHEMA, options);
    const { NativeSimulation } = loadBinding();
    this.#world = guarded(() => new NativeSimulation(seed, quality));
  }

  /** Simulated milliseconds since the beginning. */
  get now(): number {
    return this.#world.now;
  }

  addHost(host?: SimulatedHost): number {
    const given = optionsOf(HOST_SCHEMA, host, 'host');
    return guarded(() => this.#world.addHost(given));
  }

  /** Has two hosts watch each other; the second has the first one's timers unless it is given its own. */
  connect(one: number, other: number, timers: SimulatedTimers, othersTimers: SimulatedTimers = timers): number {
    const given = optionsOf(TIMERS_SCHEMA, timers, 'timers');
    const others = othersTimers === timers ? given : optionsOf(TIMERS_SCHEMA, othersTimers, 'othersTimers');
    return guarded(() => this.#world.connect(one, other, given, others));
  }

  /** Changes one direction. */
  setQuality(from: number, to: number, quality: LinkQuality): void {
    const given = optionsOf(QUALITY_SCHEMA, quality, 'quality');
    guarded(() => this.#world.setQuality(from, to, given));
  }

  /** Nothing more gets from one host to the other; what is on its way arrives. */
  cut(from: number, to: number): void {
    guarded(() => this.#world.cut(from, to));
  }

  heal(from: number, to: number): void {
    guarded(() => this.#world.heal(from, to));
  }

  /** A host's process ends, and another begins after so many milliseconds: new discriminators, nothing remembered. */
  restart(host: number, pause = 0): void {
    guarded(() => this.#world.restart(host, pause));
  }

  /** A host's thread is not run for so many milliseconds. */
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
   * Runs for so many simulated milliseconds, and gives the transitions of that time in their order.
   *
   * @throws LivenessError `ERR_SIMULATION`, where something happened that must not: a fault of the engine, to be reported
   */
  run(duration: number): SimulatedTransition[] {
    return guarded(() => this.#world.run(duration));
  }

  /** The states of a pair's two sessions; `undefined` for a host whose process is not there. */
  states(pair: number): [State | undefined, State | undefined] {
    const [one, other] = guarded(() => this.#world.states(pair));
    return [one ?? undefined, other ?? undefined];
  }
}

function guarded<T>(call: () => T): T {
  try {
    return call();
  } catch (error) {
    // What is no number at all is refused before the world sees it, with a code of N-API's.
    const code = codeOf(error);
    throw new LivenessError(code?.startsWith('ERR_') === true ? code : 'ERR_CONFIG', messageOf(error), { cause: error });
  }
}
