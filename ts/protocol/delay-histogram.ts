/** How late things happened: a histogram in plain memory, exact to an eighth. The same as the native engine's `lateness.rs`. */

/** So many latenesses lie below this one and not below that of the bucket before. Empty buckets are left out. */
export interface LatenessBucket {
  readonly belowUs: number;
  readonly count: number;
}

/** Buckets per doubling. */
const PER_OCTAVE = 8;

/** Up to 2^26 µs, a minute; what is later is counted in the last bucket. */
const BUCKETS = 192;

export class Lateness {
  readonly #counts = new Float64Array(BUCKETS);

  note(latenessUs: number): void {
    const bucket = Math.min(bucketOf(Math.floor(latenessUs)), BUCKETS - 1);
    this.#counts[bucket] = (this.#counts[bucket] ?? 0) + 1;
  }

  /** The buckets that hold something. */
  buckets(): LatenessBucket[] {
    return [...this.#counts].flatMap((count, bucket) => (count > 0 ? { belowUs: endOf(bucket), count } : []));
  }
}

function bucketOf(latenessUs: number): number {
  if (latenessUs < PER_OCTAVE) return latenessUs;
  const octave = Math.floor(Math.log2(latenessUs));
  const within = Math.floor(latenessUs / 2 ** (octave - 3)) - PER_OCTAVE;
  return (octave - 2) * PER_OCTAVE + within;
}

/** The least value of the bucket after this one. */
function endOf(bucket: number): number {
  const [octave, within] = [Math.floor((bucket + 1) / PER_OCTAVE), (bucket + 1) % PER_OCTAVE];
  return octave === 0 ? within : (PER_OCTAVE + within) * 2 ** (octave - 1);
}
