/** The sequence numbers of packets with a digest: circular, in 32 bits (RFC 5880 §6.7.3). */

/** Numbers that may repeat grow this often, in microseconds. */
const GROWS_EVERY_US = 1_000_000;

/** What a session sends (bfd.XmitAuthSeq). */
export class SentSequence {
  #number: number;
  #grownAt = -Infinity;

  constructor(first: number) {
    this.#number = first;
  }

  /** The number of a packet that is sent at `now`. */
  next(isMeticulous: boolean, now: number): number {
    if (isMeticulous || now - this.#grownAt >= GROWS_EVERY_US) {
      this.#number = (this.#number + 1) >>> 0;
      this.#grownAt = now;
    }
    return this.#number;
  }
}

/** What a session has accepted (bfd.RcvAuthSeq, bfd.AuthSeqKnown). */
export class ReceivedSequence {
  #last: { readonly number: number; readonly at: number } | undefined;

  /** Forgets the number after twice the detection time without an accepted packet (RFC 5880 §6.8.1). */
  forgetIfSilent(now: number, detectTimeUs: number): void {
    if (this.#last !== undefined && Math.max(now - this.#last.at, 0) >= 2 * detectTimeUs) this.#last = undefined;
  }

  /** Whether the number is one of the `window` next; the same again counts where it may repeat. */
  mayBeNext(number: number, window: number, isMeticulous: boolean): boolean {
    if (this.#last === undefined) return true;
    const step = (number - this.#last.number) >>> 0;
    return step <= window && (step > 0 || !isMeticulous);
  }

  note(number: number, arrival: number): void {
    this.#last = { number, at: arrival };
  }
}
