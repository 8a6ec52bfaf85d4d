/** Keeps what happens again and again from filling the log. */
import { monotonicNow } from './clock.js';

const QUIET_MS = 5_000;

/** Lets one line of each kind through in five seconds. */
export class Throttle {
  readonly #kinds = new Map<string, { quietUntil: number; skipped: number }>();

  /** Calls back, with the number of lines of this kind that were skipped before, unless one was let through lately. */
  log(kind: string, write: (skipped: number) => void): void {
    const now = monotonicNow();
    const known = this.#kinds.get(kind);
    if (known !== undefined && now < known.quietUntil) {
      known.skipped += 1;
      return;
    }
    this.#kinds.set(kind, { quietUntil: now + QUIET_MS, skipped: 0 });
    write(known?.skipped ?? 0);
  }
}
