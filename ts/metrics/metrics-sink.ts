/** Writes the metrics of the building blocks. A metric that fails affects nothing else. */
import { callGuarded } from '../base/guard.js';
import type { Labels, Metrics, ReferenceHistogramName, ReferenceScalarName } from './metrics.js';

export class MetricsSink {
  readonly #metrics: Metrics | undefined;
  readonly #failed: (thrown: unknown) => void;

  /** Writes nothing without metrics. `failed` gets what a metric throws. */
  constructor(metrics: Metrics | undefined, failed: (thrown: unknown) => void) {
    this.#metrics = metrics;
    this.#failed = failed;
  }

  /** Adds to a counter or a gauge. A gauge takes negative values, too. */
  add(name: ReferenceScalarName, labels: Labels, value = 1): void {
    this.#write((metrics) => metrics[name].inc(labels, value));
  }

  set(name: 'peerSessions' | 'peerDetectTime', labels: Labels, value: number): void {
    this.#write((metrics) => metrics[name].set(labels, value));
  }

  remove(name: 'peerSessions' | 'peerDetectTime', labels: Labels): void {
    this.#write((metrics) => metrics[name].remove(labels));
  }

  observe(name: ReferenceHistogramName, labels: Labels, value: number): void {
    this.#write((metrics) => metrics[name].observe(labels, value));
  }

  #write(write: (metrics: Metrics) => unknown): void {
    const metrics = this.#metrics;
    if (metrics !== undefined) callGuarded(() => write(metrics), this.#failed);
  }
}
