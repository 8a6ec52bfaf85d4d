/** Where the building blocks write their metrics: a metric that fails costs them nothing else. */
import { callGuarded } from '../base/guard.js';
import type { HistogramName, Labels, Metrics, ReferenceScalarName } from './metrics.js';

export class MetricsSink {
  readonly #metrics: Metrics | undefined;
  readonly #failed: (thrown: unknown) => void;

  /** Without metrics nothing is written. `failed` hears what one of them threw. */
  constructor(metrics: Metrics | undefined, failed: (thrown: unknown) => void) {
    this.#metrics = metrics;
    this.#failed = failed;
  }

  /** Adds to a counter, or to a gauge: there it may be negative. */
  add(name: ReferenceScalarName, labels: Labels, value = 1): void {
    this.#write((metrics) => metrics[name].inc(labels, value));
  }

  set(name: 'peerSessions' | 'peerDetectTime', labels: Labels, value: number): void {
    this.#write((metrics) => metrics[name].set(labels, value));
  }

  remove(name: 'peerSessions' | 'peerDetectTime', labels: Labels): void {
    this.#write((metrics) => metrics[name].remove(labels));
  }

  observe(name: HistogramName, labels: Labels, value: number): void {
    this.#write((metrics) => metrics[name].observe(labels, value));
  }

  #write(write: (metrics: Metrics) => unknown): void {
    const metrics = this.#metrics;
    if (metrics !== undefined) callGuarded(() => write(metrics), this.#failed);
  }
}
