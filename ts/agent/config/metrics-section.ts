/** The section `metrics`: what Prometheus scrapes. */
import * as v from 'valibot';

import { flag, object } from '../../base/fields.js';
import { DEFAULT_METRICS_PREFIX, prefixField } from '../../metrics/metrics.js';
import { readListen } from './control-section.js';
import type { Issues } from './issues.js';
import type { ListenAddress } from './listen-address.js';
import { checkedSection } from './section.js';

export interface MetricsSettings {
  /** A TCP address that answers `/metrics`, `/healthz` and `/readyz`, and nothing else; `undefined` for none. */
  readonly listen: ListenAddress | undefined;
  /** Series for each peer. */
  readonly peers: boolean;
  readonly prefix: string;
}

const SCHEMA = object({
  listen: v.optional(v.unknown()),
  allowRemote: v.optional(flag),
  peers: v.optional(flag),
  prefix: v.optional(prefixField),
});

export function readMetrics(given: unknown, issues: Issues): MetricsSettings {
  const section = checkedSection(SCHEMA, given, ['metrics'], issues);
  const { allowRemote = false, peers = false, prefix = DEFAULT_METRICS_PREFIX } = section;
  return { listen: readListen(section['listen'], allowRemote, 'metrics', issues), peers, prefix };
}
