/** A histogram of delays whose buckets are an eighth of an octave wide, as in the native engine's `delay_histogram.rs`. */

/** The number of delays below `belowUs` and not below that of the previous bucket. Empty buckets are left out. */
export interface DelayBucket {
  readonly belowUs: number;
  readonly count: number;
}

/** Buckets per doubling. */
const PER_OCTAVE = 8;

/** Up to 2^26 µs, a minute; longer delays are counted in the last bucket. */
const BUCKETS = 192;

export class DelayHistogram {
  readonly #counts = new Float64Array(BUCKETS);

  note(delayUs: number): void {
    const bucket = Math.min(bucketOf(Math.floor(delayUs)), BUCKETS - 1);
    this.#counts[bucket] = (this.#counts[bucket] ?? 0) + 1;
  }

  /** The buckets that are not empty. */
  buckets(): DelayBucket[] {
    return [...this.#counts].flatMap((count, bucket) => (count > 0 ? { belowUs: endOf(bucket), count } : []));
  }
}

function bucketOf(delayUs: number): number {
  if (delayUs < PER_OCTAVE) return delayUs;
  const octave = Math.floor(Math.log2(delayUs));
  const within = Math.floor(delayUs / 2 ** (octave - 3)) - PER_OCTAVE;
  return (octave - 2) * PER_OCTAVE + within;
}

/** The lower bound of the next bucket. */
function endOf(bucket: number): number {
  const [octave, within] = [Math.floor((bucket + 1) / PER_OCTAVE), (bucket + 1) % PER_OCTAVE];
  return octave === 0 ? within : (PER_OCTAVE + within) * 2 ** (octave - 1);
}
