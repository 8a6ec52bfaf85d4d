/** The contents of a slot, as far as the answers of the backend tell. */
import { isSameAddress } from '../base/address.js';
import type { Route } from '../base/route.js';
import type { PlacedRoute } from './reader-writer.js';

/** Shared by all empty slots. */
const EMPTY: readonly PlacedRoute[] = Object.freeze([]);

export class SlotContents {
  /** The route that the backend certainly holds. */
  #confirmed: PlacedRoute | undefined = undefined;
  /** The routes that the backend may hold. */
  #possible: readonly PlacedRoute[] = EMPTY;

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
    return this.#possible.some((possible) => isSamePlace(possible, placed));
  }

  /** The route was requested. */
  notePossible(placed: PlacedRoute): void {
    if (!this.isPossible(placed)) this.#possible = [...this.#possible, placed];
  }

  noteHeld(placed: PlacedRoute): void {
    this.notePossible(placed);
    this.#confirmed = placed;
  }

  noteGone(placed: PlacedRoute): void {
    const left = this.#possible.filter((possible) => !isSamePlace(possible, placed));
    this.#possible = left.length === 0 ? EMPTY : left;
    if (this.isConfirmed(placed)) this.#confirmed = undefined;
  }

  /** The route may be there; nothing is certain any more. */
  noteUnknown(placed: PlacedRoute): void {
    this.notePossible(placed);
    this.#confirmed = undefined;
  }
}

/** Whether two routes of one slot are the same, and lead over the same interface. */
export function isSamePlace(left: PlacedRoute, right: PlacedRoute): boolean {
  return left === right || (left.iface === right.iface && isSameRoute(left.route, right.route));
}

/** Whether two routes of one slot are the same. A backend may write an IPv6 address in another form than ours. */
export function isSameRoute(left: Route, right: Route): boolean {
  return left.protocol === right.protocol && isSameAddress(left.nextHop, right.nextHop) && isSameAddress(left.src, right.src);
}
