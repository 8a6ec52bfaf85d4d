/** prom-client, which is optional: its types, and its module once metrics are wanted. */
import { LivenessError, messageOf } from '../base/errors.js';
import packages from '../base/optional-packages.cjs';
import { exportsOf } from '../base/require.js';

/* eslint-disable @typescript-eslint/ban-ts-comment -- the comments are part of the declarations that users get: see there */
/** @ts-ignore: `any` where prom-client is not installed. */
export type GaugeMetric = import('prom-client').Gauge;
/** @ts-ignore: `any` where prom-client is not installed. */
export type CounterMetric = import('prom-client').Counter;
/** @ts-ignore: `any` where prom-client is not installed. */
export type HistogramMetric = import('prom-client').Histogram;
/** @ts-ignore: `any` where prom-client is not installed. */
export type PromClient = typeof import('prom-client');
/* eslint-enable @typescript-eslint/ban-ts-comment */

/** The methods of prom-client's `Registry` that are called, in Prometheus and in OpenMetrics mode alike. */
export interface MetricsRegistry {
  registerMetric(metric: unknown): void;
  getSingleMetric(name: string): unknown;
  removeSingleMetric(name: string): void;
}

/**
 * The module. It is loaded with the first metric, so that a process without metrics does not need it.
 *
 * @throws LivenessError `ERR_METRICS_UNAVAILABLE`
 */
export function promClient(): PromClient {
  try {
    return exportsOf(packages.requirePromClient(), 'prom-client') as PromClient;
  } catch (cause) {
    const message = `Metrics need prom-client, which does not load: npm install prom-client (${messageOf(cause).split('\n', 1)[0] ?? ''})`;
    throw new LivenessError('ERR_METRICS_UNAVAILABLE', message, { cause });
  }
}
