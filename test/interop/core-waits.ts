/** For how long processes that want to run have waited for a core. */
import { readdirSync, readFileSync } from 'node:fs';

const SAMPLE_MS = 20;

/** Watches processes from its making until `end`. */
export class CoreWaits {
  readonly #pids: readonly number[];
  readonly #timer: NodeJS.Timeout;
  #waited: ReadonlyMap<string, number>;
  #worstMs = 0;

  constructor(pids: readonly number[]) {
    this.#pids = pids;
    this.#waited = waits(pids);
    this.#timer = setInterval(() => this.#sample(), SAMPLE_MS);
  }

  /** The longest that a thread has waited between two samples, in milliseconds. */
  end(): number {
    clearInterval(this.#timer);
    this.#sample();
    return this.#worstMs;
  }

  #sample(): void {
    const now = waits(this.#pids);
    for (const [thread, waited] of now) this.#worstMs = Math.max(this.#worstMs, waited - (this.#waited.get(thread) ?? waited));
    this.#waited = now;
  }
}

/** Of each thread, in milliseconds: proc_pid_schedstat(5), the second number. */
function waits(pids: readonly number[]): Map<string, number> {
  const threads = pids.flatMap((pid) => readdirSync(`/proc/${pid}/task`).map((thread) => `/proc/${pid}/task/${thread}`));
  return new Map(threads.flatMap((thread) => waitOf(thread)));
}

function waitOf(thread: string): [string, number][] {
  try {
    return [[thread, Number(readFileSync(`${thread}/schedstat`, 'utf8').split(' ')[1]) / 1e6]];
  } catch {
    // It has ended since it was listed.
    return [];
  }
}
