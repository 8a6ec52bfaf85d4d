/** Numbers of several runs in one: the median, and between what the runs lay. */
import type { Histogrammed } from './endpoint-methods.js';

export interface Figure {
  readonly median: number;
  readonly min: number;
  readonly max: number;
  readonly runs: number;
}

export function figure(values: readonly number[]): Figure {
  return { median: quantile(values, 0.5), min: Math.min(...values), max: Math.max(...values), runs: values.length };
}

/** A quantile of values, interpolated between the two that are nearest. */
export function quantile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((one, other) => one - other);
  const place = (sorted.length - 1) * share;
  const [low, high] = [sorted[Math.floor(place)] ?? NaN, sorted[Math.ceil(place)] ?? NaN];
  return low + (high - low) * (place - Math.floor(place));
}

/** What happened between two looks at a histogram, as quantiles in milliseconds: each is the end of its bucket. */
export interface Distribution {
  readonly p50: number;
  readonly p99: number;
  readonly p999: number;
  readonly max: number;
}

export function distribution(before: readonly Histogrammed[], after: readonly Histogrammed[]): Distribution {
  const earlier = new Map(before.map(({ below, count }) => [below, count]));
  const buckets = after.map(({ below, count }) => ({ below, count: count - (earlier.get(below) ?? 0) })).filter(({ count }) => count > 0);
  const total = buckets.reduce((sum, { count }) => sum + count, 0);
  const at = (share: number): number => {
    let seen = 0;
    for (const { below, count } of buckets) {
      seen += count;
      if (seen >= total * share) return below;
    }
    return buckets.at(-1)?.below ?? NaN;
  };
  return { p50: at(0.5), p99: at(0.99), p999: at(0.999), max: at(1) };
}

export function show({ median, min, max }: Figure, digits = 2): string {
  return `${median.toFixed(digits)} [${min.toFixed(digits)}–${max.toFixed(digits)}]`;
}
