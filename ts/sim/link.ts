/** One direction of a simulated link. */
import * as v from 'valibot';

import type { LinkQuality } from '../engine/native/simulation.js';
import type { Xorshift32 } from '../protocol/jitter.js';

const LONGEST_DELAY = 60_000;
const TIME = `a number of milliseconds from 0 to ${LONGEST_DELAY}`;
const time = v.optional(v.pipe(v.number(TIME), v.minValue(0, TIME), v.maxValue(LONGEST_DELAY, TIME)));
const SHARE = 'a share from 0 to 1';
const share = v.optional(v.pipe(v.number(SHARE), v.minValue(0, SHARE), v.maxValue(1, SHARE)));

export const QUALITY_ENTRIES = { delay: time, jitter: time, loss: share, duplicate: share, reorder: share, corrupt: share };

/** A datagram that arrives: after how many milliseconds, and its bytes. */
export interface DelayedDatagram {
  readonly after: number;
  readonly bytes: Uint8Array;
}

/** What becomes of a datagram. */
export function deliveries(quality: LinkQuality, bytes: Uint8Array, random: Xorshift32): DelayedDatagram[] {
  const { delay = 0, jitter = 0, loss = 0, duplicate = 0, reorder = 0, corrupt = 0 } = quality;
  const happens = (chance: number): boolean => chance > 0 && fraction(random) < chance;
  const copies = happens(duplicate) ? 2 : 1;
  return Array.from({ length: copies }).flatMap((): DelayedDatagram[] => {
    if (happens(loss)) return [];
    const after = happens(reorder) ? 2 * (delay + jitter) : delay + jitter * fraction(random);
    return [{ after, bytes: happens(corrupt) ? damaged(bytes, random) : bytes }];
  });
}

/** A number from 0 to below 1. */
export function fraction(random: Xorshift32): number {
  return random.next() / 2 ** 32;
}

function damaged(bytes: Uint8Array, random: Xorshift32): Uint8Array {
  if (random.next() % 4 === 0) return bytes.slice(0, random.next() % bytes.length);
  const copy = bytes.slice();
  const bit = random.next() % (copy.length * 8);
  const index = bit >>> 3;
  copy[index] = (copy[index] ?? 0) ^ (1 << (bit & 7));
  return copy;
}
