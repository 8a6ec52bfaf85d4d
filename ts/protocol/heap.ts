/** A binary heap of entries with deadlines that knows where each entry is. */

export interface HeapEntry {
  /** When it is due. Changed only through `set`. */
  at: number;
  /** Breaks ties: of equal times the one that was set first comes first. */
  order: number;
  /** Where it stands; kept by the heap. */
  place: number;
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

  /** Puts an entry in that is made of the given fields. */
  push(fields: Omit<T, 'order' | 'place'>): T {
    const entry = { ...fields, order: this.#nextOrder++, place: this.#entries.length } as T;
    this.#entries.push(entry);
    this.#settle(entry);
    return entry;
  }

  /** Moves an entry of this heap to another time. */
  set(entry: T, at: number): void {
    entry.at = at;
    entry.order = this.#nextOrder++;
    this.#settle(entry);
  }

  /** Takes an entry of this heap out. */
  remove(entry: T): void {
    const last = this.#entries.pop();
    if (last === undefined || last === entry) return;
    this.#put(last, entry.place);
    this.#settle(last);
  }

  /** Moves an entry up or down to where it belongs. */
  #settle(entry: T): void {
    for (let parent = this.#parent(entry); parent !== undefined && isBefore(entry, parent); parent = this.#parent(entry)) {
      this.#swap(entry, parent);
    }
    for (let child = this.#leastChild(entry); child !== undefined && isBefore(child, entry); child = this.#leastChild(entry)) {
      this.#swap(entry, child);
    }
  }

  #parent(entry: T): T | undefined {
    return entry.place === 0 ? undefined : this.#entries[(entry.place - 1) >> 1];
  }

  #leastChild(entry: T): T | undefined {
    const left = this.#entries[2 * entry.place + 1];
    const right = this.#entries[2 * entry.place + 2];
    return left !== undefined && right !== undefined && isBefore(right, left) ? right : left;
  }

  #swap(one: T, other: T): void {
    const { place } = one;
    this.#put(one, other.place);
    this.#put(other, place);
  }

  #put(entry: T, place: number): void {
    entry.place = place;
    this.#entries[place] = entry;
  }
}

function isBefore(one: HeapEntry, other: HeapEntry): boolean {
  return one.at < other.at || (one.at === other.at && one.order < other.order);
}
