/** Limits the lines of a log that come in a flood: what is beyond the limit is summed up once a second. */
import type { Environment } from '../base/environment.js';

const WINDOW_MS = 1_000;

export class LineLimit {
  readonly #environment: Environment;
  readonly #most: number;
  readonly #summary: (counts: ReadonlyMap<string, number>) => void;
  #passed = 0;
  readonly #skipped = new Map<string, number>();
  #isOpen = false;

  /**
   * @param most so many lines a second
   * @param summary gets, at the end of a second, how many lines of each kind were beyond
   */
  constructor(environment: Environment, most: number, summary: (counts: ReadonlyMap<string, number>) => void) {
    this.#environment = environment;
    this.#most = most;
    this.#summary = summary;
  }

  /** Whether a line of this kind may be written. If not, it is counted. */
  passes(kind: string): boolean {
    if (!this.#isOpen) this.#open();
    if (this.#passed < this.#most) {
      this.#passed += 1;
      return true;
    }
    this.#skipped.set(kind, (this.#skipped.get(kind) ?? 0) + 1);
    return false;
  }

  /** Writes what is left: the manager closes. */
  flush(): void {
    if (this.#skipped.size > 0) this.#summary(new Map(this.#skipped));
    this.#skipped.clear();
  }

  #open(): void {
    this.#isOpen = true;
    this.#passed = 0;
    this.#environment.after(WINDOW_MS, () => {
      this.#isOpen = false;
      this.flush();
    });
  }
}
