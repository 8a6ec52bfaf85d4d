/** Histograms of durations, for Prometheus. The bounds are those of the native engine. */

/** A histogram of durations in seconds. */
export interface HistogramStats {
  /** Upper bounds, ascending. */
  readonly bounds: readonly number[];
  /** Per bucket, not cumulative. One more than there are bounds: the last bucket is for longer durations. */
  readonly counts: readonly number[];
  readonly sum: number;
}

/** Upper bounds for the handling of one received packet, in seconds. */
export const HANDLE_RX_BOUNDS = [2.5e-7, 5e-7, 1e-6, 2.5e-6, 5e-6, 1e-5, 2.5e-5, 5e-5, 1e-4, 2.5e-4, 1e-3, 1e-2] as const;

/** Upper bounds for convergence, in seconds. */
export const CONVERGENCE_BOUNDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60] as const;

/** Upper bounds for the lateness of a turn, in seconds: powers of two of a microsecond, as the engine counts it. */
export const TURN_DELAY_BOUNDS = [0.000128, 0.000512, 0.001024, 0.004096, 0.016384, 0.065536, 0.262144, 1.048576] as const;

export class DurationHistogram {
  readonly #bounds: readonly number[];
  readonly #counts: number[];
  #sum = 0;

  /** Creates an empty histogram. The bounds ascend; a bound belongs to the bucket below it. */
  constructor(bounds: readonly number[]) {
    this.#bounds = bounds;
    this.#counts = new Array<number>(bounds.length + 1).fill(0);
  }

  observe(seconds: number): void {
    let bucket = 0;
    while (bucket < this.#bounds.length && seconds > (this.#bounds[bucket] ?? Infinity)) bucket += 1;
    this.#counts[bucket] = (this.#counts[bucket] ?? 0) + 1;
    this.#sum += seconds;
  }

  /** The present counts, copied. */
  stats(): HistogramStats {
    return { bounds: this.#bounds, counts: [...this.#counts], sum: this.#sum };
  }
}
