/** A binary heap of entries with deadlines that knows where each entry is. */

/** Where an entry stands that is in no heap. */
const OUTSIDE = -1;

/** Something with a deadline. It may be put in, taken out and put in again. */
export class HeapEntry {
  /** When it is due. Changed only through `set`. */
  at = Infinity;
  /** Breaks ties: of equal times the one that was set first comes first. */
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

  /** Puts an entry in, or moves one of this heap to another time. */
  set(entry: T, at: number): void {
    entry.at = at;
    entry.order = this.#nextOrder++;
    if (entry.place === OUTSIDE) {
      entry.place = this.#entries.length;
      this.#entries.push(entry);
    }
    this.#settle(entry);
  }

  /** Takes an entry of this heap out. */
  remove(entry: T): void {
    const last = this.#entries.pop();
    if (last !== undefined && last !== entry) {
      this.#put(last, entry.place);
      this.#settle(last);
    }
    entry.place = OUTSIDE;
  }

  /** Moves an entry up or down to where it belongs. */
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
    // Never read beyond the end: V8 would take the array for one with holes.
    const one = right - 1 < this.#entries.length ? this.#entries[right - 1] : undefined;
    const other = right < this.#entries.length ? this.#entries[right] : undefined;
    return one !== undefined && other !== undefined && isBefore(other, one) ? other : one;
  }

  #put(entry: T, place: number): void {
    entry.place = place;
    this.#entries[place] = entry;
  }
}

function isBefore(one: HeapEntry, other: HeapEntry): boolean {
  return one.at < other.at || (one.at === other.at && one.order < other.order);
}
