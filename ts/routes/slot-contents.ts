/** The contents of a slot, as far as the answers of the backend tell. */
import type { BackendOperation } from './backend-call.js';
import type { PlacedRoute } from './reader-writer.js';
import { isSamePlace } from './same-place.js';

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

  /** Whether the slot certainly is as an operation leaves it. */
  isDone({ kind, placed }: BackendOperation): boolean {
    return kind === 'delete' ? !this.isPossible(placed) : this.isConfirmed(placed);
  }

  /** The backend has done it. @param value what a look found: `true` for a route that is there */
  noteDone({ kind, placed, previous }: BackendOperation, value: unknown): void {
    if (previous !== undefined) this.noteGone(previous);
    const isHeld = kind === 'look' ? value === true : kind !== 'delete';
    if (isHeld) this.noteHeld(placed);
    else this.noteGone(placed);
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
