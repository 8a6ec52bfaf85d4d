/** Limits repeated log lines. */
import { type Environment, SYSTEM } from './environment.js';

const QUIET_MS = 5_000;

/** Passes at most one line of each kind in five seconds. */
export class Throttle {
  readonly #environment: Environment;
  readonly #kinds = new Map<string, { quietUntil: number; skipped: number }>();

  constructor(environment: Environment = SYSTEM) {
    this.#environment = environment;
  }

  /** Calls `write` with the number of skipped lines of this kind, unless a line passed in the last five seconds. */
  log(kind: string, write: (skipped: number) => void): void {
    const now = this.#environment.now();
    const known = this.#kinds.get(kind);
    if (known !== undefined && now < known.quietUntil) {
      known.skipped += 1;
      return;
    }
    this.#kinds.set(kind, { quietUntil: now + QUIET_MS, skipped: 0 });
    write(known?.skipped ?? 0);
  }
}
