/** The deadline heap: at most one entry per owner and kind, moved in place. */

/** What is due for a session. */
export type Due = 'tx' | 'detect';

interface Entry<T> {
  at: number;
  /** Breaks ties: of equal times the one that was set first comes first. */
  order: number;
  readonly owner: T;
  readonly due: Due;
  place: number;
}

/** A binary heap that knows where each entry is. */
export class DeadlineQueue<T extends object> {
  readonly #heap: Entry<T>[] = [];
  readonly #entries: Record<Due, Map<T, Entry<T>>> = { tx: new Map(), detect: new Map() };
  #nextOrder = 0;

  get length(): number {
    return this.#heap.length;
  }

  /** The earliest deadline. */
  peek(): number | undefined {
    return this.#heap[0]?.at;
  }

  /** Puts a deadline in, or moves the one that is there. True where there was none. */
  set(owner: T, due: Due, at: number): boolean {
    const order = this.#nextOrder++;
    const known = this.#entries[due].get(owner);
    if (known !== undefined) {
      known.at = at;
      known.order = order;
      this.#settle(known);
      return false;
    }
    const entry = { at, order, owner, due, place: this.#heap.length };
    this.#entries[due].set(owner, entry);
    this.#heap.push(entry);
    this.#settle(entry);
    return true;
  }

  /** Takes a deadline out. True where there was one. */
  remove(owner: T, due: Due): boolean {
    const entry = this.#entries[due].get(owner);
    if (entry !== undefined) this.#take(entry);
    return entry !== undefined;
  }

  /** Takes out the earliest deadline if it is not later than `now`. */
  popIfDue(now: number): { owner: T; due: Due } | undefined {
    const [first] = this.#heap;
    if (first === undefined || first.at > now) return undefined;
    this.#take(first);
    return first;
  }

  #take(entry: Entry<T>): void {
    this.#entries[entry.due].delete(entry.owner);
    const last = this.#heap.pop();
    if (last === undefined || last === entry) return;
    this.#put(last, entry.place);
    this.#settle(last);
  }

  /** Moves an entry up or down to where it belongs. */
  #settle(entry: Entry<T>): void {
    for (let parent = this.#parent(entry); parent !== undefined && isBefore(entry, parent); parent = this.#parent(entry)) {
      this.#swap(entry, parent);
    }
    for (let child = this.#leastChild(entry); child !== undefined && isBefore(child, entry); child = this.#leastChild(entry)) {
      this.#swap(entry, child);
    }
  }

  #parent(entry: Entry<T>): Entry<T> | undefined {
    return entry.place === 0 ? undefined : this.#heap[(entry.place - 1) >> 1];
  }

  #leastChild(entry: Entry<T>): Entry<T> | undefined {
    const left = this.#heap[2 * entry.place + 1];
    const right = this.#heap[2 * entry.place + 2];
    return left !== undefined && right !== undefined && isBefore(right, left) ? right : left;
  }

  #swap(one: Entry<T>, other: Entry<T>): void {
    const { place } = one;
    this.#put(one, other.place);
    this.#put(other, place);
  }

  #put(entry: Entry<T>, place: number): void {
    entry.place = place;
    this.#heap[place] = entry;
  }
}

function isBefore<T>(one: Entry<T>, other: Entry<T>): boolean {
  return one.at < other.at || (one.at === other.at && one.order < other.order);
}
