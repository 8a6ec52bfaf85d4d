/** The addresses that a manager is bound to: at most one of each family. */
import * as v from 'valibot';

import { canonicalAddress, familyOf, isLinkLocal } from '../base/address.js';
import { expected, LivenessError } from '../base/errors.js';

const WHAT = 'an IPv4 or IPv6 address, or an array of one or of one of each';
const NO_LINK =
  'an address without a zone that is not link-local, since it names no interface: bind `::`, and name the interface of each session';

/** The part of a configuration that says what a manager is bound to. */
export interface BoundConfig {
  readonly bindIP: string | readonly string[];
  /** A transport of the user's own. */
  readonly udp?: unknown;
}

/** The schema of `bindIP`. The output has the addresses in canonical form. */
export const bindIPField = v.pipe(
  v.union([v.string(WHAT), v.array(v.string(WHAT), WHAT)], WHAT),
  v.check((given) => listed(given).every((text) => !text.includes('%') && !isLinkLocal(text.toLowerCase())), NO_LINK),
  v.check((given) => listed(given).every((text) => canonicalAddress(text) !== undefined), WHAT),
  v.check((given) => isOneOfEach(listed(given)), WHAT),
  v.transform((given): string | readonly string[] => (typeof given === 'string' ? canonical(given) : Object.freeze(given.map(canonical)))),
);

/** The addresses, at least one, in the order of the configuration. */
export function boundAddresses({ bindIP }: BoundConfig): readonly string[] {
  return listed(bindIP);
}

/**
 * Checks the local address of a session: a socket that is bound to one address receives nothing for another.
 *
 * @throws LivenessError `EADDRNOTAVAIL`
 */
export function checkBound(path: string, localIP: string, config: BoundConfig): void {
  const family = familyOf(localIP);
  const bound = boundAddresses(config).find((address) => familyOf(address) === family);
  if (bound === undefined) {
    const what = `an address of a family that the manager is bound to: add '${WILDCARDS[family]}' or ${localIP} to \`bindIP\``;
    throw new LivenessError('EADDRNOTAVAIL', expected(path, what, localIP));
  }
  // A transport of the user's own is bound by the user.
  if (config.udp !== undefined || bound === WILDCARDS[family] || bound === localIP) return;
  throw new LivenessError('EADDRNOTAVAIL', expected(path, `${bound}, which the manager is bound to (\`bindIP\`)`, localIP));
}

const WILDCARDS = { IPv4: '0.0.0.0', IPv6: '::' } as const;

function listed(given: string | readonly string[]): readonly string[] {
  return typeof given === 'string' ? [given] : given;
}

function isOneOfEach(addresses: readonly string[]): boolean {
  return addresses.length > 0 && new Set(addresses.map(familyOf)).size === addresses.length;
}

function canonical(text: string): string {
  return canonicalAddress(text) ?? text;
}
