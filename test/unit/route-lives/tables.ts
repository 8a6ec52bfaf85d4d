/** The tables of a simulated backend: what each slot holds, and who is told what was lost. */
import { type PlacedRoute, type Route, type RouteWatcher } from '../../../ts/index.js';
import { formatSlot } from '../../../ts/base/route.js';
import type { Chance } from './chance.js';

export const OURS = 186;
export const THEIRS = 42;

export class Tables {
  readonly #slots = new Map<string, PlacedRoute>();
  readonly #chance: Chance;
  #watchers: RouteWatcher[] = [];
  /** Told of every change by somebody else, with the slot. */
  onForeignChange: (slot: string) => void = () => undefined;

  constructor(chance: Chance) {
    this.#chance = chance;
  }

  watch(watcher: RouteWatcher): () => void {
    this.#watchers.push(watcher);
    return () => {
      this.#watchers = this.#watchers.filter((it) => it !== watcher);
    };
  }

  at(slot: string): PlacedRoute | undefined {
    return this.#slots.get(slot);
  }

  holds(placed: PlacedRoute): boolean {
    const held = this.#slots.get(formatSlot(placed.route));
    return held !== undefined && isSame(held, placed);
  }

  list(protocol: number): PlacedRoute[] {
    return [...this.#slots.values()].filter(({ route }) => route.protocol === protocol);
  }

  isForeign(slot: string): boolean {
    return this.#slots.get(slot)?.route.protocol === THEIRS;
  }

  /** Whether it was added: a foreign route in the slot is a conflict. */
  add(placed: PlacedRoute): boolean {
    const slot = formatSlot(placed.route);
    if (this.isForeign(slot)) return false;
    this.#slots.set(slot, placed);
    return true;
  }

  delete(placed: PlacedRoute): void {
    if (this.holds(placed)) this.#slots.delete(formatSlot(placed.route));
  }

  /** Somebody else takes what is ours in a slot, and perhaps puts theirs there. */
  take(slot: string, theirs: Route | undefined): void {
    const held = this.#slots.get(slot);
    if (theirs === undefined) this.#slots.delete(slot);
    else this.#slots.set(slot, { route: theirs, iface: 'eth9' });
    this.onForeignChange(slot);
    if (held?.route.protocol !== OURS) return;
    setTimeout(() => {
      if (this.holds(held)) return;
      for (const watcher of this.#watchers) watcher.lost([held.route], this.#chance.of(2) ? 'taken' : 'dropped');
    }, this.#chance.upTo(50));
  }

  vacate(): void {
    for (const [slot, { route }] of [...this.#slots]) {
      if (route.protocol !== THEIRS) continue;
      this.#slots.delete(slot);
      this.onForeignChange(slot);
    }
  }
}

function isSame(one: PlacedRoute, other: PlacedRoute): boolean {
  const [a, b] = [one.route, other.route];
  return a.nextHop === b.nextHop && a.src === b.src && a.protocol === b.protocol && one.iface === other.iface;
}
