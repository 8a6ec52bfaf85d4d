/** In which order the live view has sessions. */
import type { SessionJson } from '../agent/control-api.js';
import { changedFirst, worstFirst } from './severity.js';

export interface Order {
  readonly name: string;
  readonly compare: (first: SessionJson, second: SessionJson) => number;
}

const numeric = new Intl.Collator('en', { numeric: true });

/** The key `s` goes through them. */
export const ORDERS: readonly [Order, ...Order[]] = [
  { name: 'worst first', compare: worstFirst },
  { name: 'last change', compare: changedFirst },
  { name: 'worst gap of the detection time', compare: (first, second) => shareOfGap(second) - shareOfGap(first) },
  { name: 'flaps', compare: (first, second) => second.flaps - first.flaps },
  { name: 'detection time', compare: (first, second) => second.detect_time_ms - first.detect_time_ms },
  { name: 'peer', compare: (first, second) => numeric.compare(first.peer_ip, second.peer_ip) },
];

function shareOfGap({ worst_gap_ms, detect_time_ms }: SessionJson): number {
  return worst_gap_ms === null ? -1 : worst_gap_ms / detect_time_ms;
}
