/** A binary heap of entries with deadlines, each of which knows its index, so that it can be moved or removed. */

/** The index of an entry that is in no heap. */
const OUTSIDE = -1;

/** An entry with a deadline. It can be added, removed and added again. */
export class HeapEntry {
  /** The deadline. Changed only by `Heap.set`. */
  at = Infinity;
  /** Breaks ties: of equal deadlines, the one that was set first comes first. */
  order = 0;
  /** Kept by the heap. */
  place = OUTSIDE;

  get isQueued(): boolean {
    return this.place !== OUTSIDE;
  }
}

export class Heap<T extends HeapEntry> {
  readonly #entries: T[] = [];
  #nextOrder = 0;

  get length(): number {
    return this.#entries.length;
  }

  /** The earliest entry. */
  get first(): T | undefined {
    return this.#entries[0];
  }

  /** Adds an entry, or moves an entry of this heap to another deadline. */
  set(entry: T, at: number): void {
    entry.at = at;
    entry.order = this.#nextOrder++;
    if (entry.place === OUTSIDE) {
      entry.place = this.#entries.length;
      this.#entries.push(entry);
    }
    this.#settle(entry);
  }

  /** Removes an entry of this heap. */
  remove(entry: T): void {
    const last = this.#entries.pop();
    if (last !== undefined && last !== entry) {
      this.#put(last, entry.place);
      this.#settle(last);
    }
    entry.place = OUTSIDE;
  }

  /** Moves an entry up or down to its place. */
  #settle(entry: T): void {
    const { place } = entry;
    this.#rise(entry);
    if (entry.place === place) this.#sink(entry);
  }

  #rise(entry: T): void {
    let { place } = entry;
    while (place > 0) {
      const above = (place - 1) >> 1;
      const parent = this.#entries[above];
      if (parent === undefined || !isBefore(entry, parent)) break;
      this.#put(parent, place);
      place = above;
    }
    this.#put(entry, place);
  }

  #sink(entry: T): void {
    let { place } = entry;
    for (;;) {
      const child = this.#lesserChild(place);
      if (child === undefined || !isBefore(child, entry)) break;
      const below = child.place;
      this.#put(child, place);
      place = below;
    }
    this.#put(entry, place);
  }

  #lesserChild(place: number): T | undefined {
    const right = 2 * place + 2;
    // No reads beyond the end: they would make V8 treat the array as one with holes.
    const leftChild = right - 1 < this.#entries.length ? this.#entries[right - 1] : undefined;
    const rightChild = right < this.#entries.length ? this.#entries[right] : undefined;
    return leftChild !== undefined && rightChild !== undefined && isBefore(rightChild, leftChild) ? rightChild : leftChild;
  }

  #put(entry: T, place: number): void {
    entry.place = place;
    this.#entries[place] = entry;
  }
}

function isBefore(left: HeapEntry, right: HeapEntry): boolean {
  return left.at < right.at || (left.at === right.at && left.order < right.order);
}
