/** What a slot of a backend holds, as far as its answers tell. */
import type { PlacedRoute } from './reader-writer.js';
import type { Route } from '../base/route.js';

/** The same list for all that hold nothing. */
const NOTHING: readonly PlacedRoute[] = Object.freeze([]);

export class SlotContents {
  /** What the backend certainly holds. */
  #confirmed: PlacedRoute | undefined = undefined;
  /** What the backend may hold. */
  #possible: readonly PlacedRoute[] = NOTHING;

  get confirmed(): PlacedRoute | undefined {
    return this.#confirmed;
  }

  get possible(): readonly PlacedRoute[] {
    return this.#possible;
  }

  isConfirmed(placed: PlacedRoute): boolean {
    return this.#confirmed !== undefined && isSamePlace(this.#confirmed, placed);
  }

  isPossible(placed: PlacedRoute): boolean {
    return this.#possible.some((it) => isSamePlace(it, placed));
  }

  /** It was asked for. */
  notePossible(placed: PlacedRoute): void {
    if (!this.isPossible(placed)) this.#possible = [...this.#possible, placed];
  }

  noteHeld(placed: PlacedRoute): void {
    this.notePossible(placed);
    this.#confirmed = placed;
  }

  noteGone(placed: PlacedRoute): void {
    const left = this.#possible.filter((it) => !isSamePlace(it, placed));
    this.#possible = left.length === 0 ? NOTHING : left;
    if (this.isConfirmed(placed)) this.#confirmed = undefined;
  }

  /** It may be there, and nothing is certain any more. */
  noteUnknown(placed: PlacedRoute): void {
    this.notePossible(placed);
    this.#confirmed = undefined;
  }
}

/** Whether two routes of one slot are the same, and lead over the same interface. */
export function isSamePlace(one: PlacedRoute, other: PlacedRoute): boolean {
  return one === other || (one.iface === other.iface && isSameRoute(one.route, other.route));
}

/** Whether two routes of one slot are the same. */
export function isSameRoute(one: Route, other: Route): boolean {
  return one.nextHop === other.nextHop && one.src === other.src && one.protocol === other.protocol;
}
