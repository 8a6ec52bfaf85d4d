/** The options that have a meaning in one protocol alone. In the other they are refused, since ignoring them would mislead. */
import type { ConfigIssue } from '../base/errors.js';

/** The name of a protocol. */
export type ProtocolName = 'liveness' | 'bfd';

/** Why each field of a configuration has no meaning in a protocol. */
const FOREIGN_FIELDS: Readonly<Record<ProtocolName, Readonly<Record<string, string>>>> = {
  liveness: {
    multihopPort: 'has a meaning in BFD alone: set `protocol` to `bfd`',
    onPeerAdminDown: 'has a meaning in BFD alone: set `protocol` to `bfd`',
  },
  bfd: {
    backoffMax: 'has no meaning in BFD: a session that is not Up sends once a second (RFC 5880 §6.8.3)',
    clientVersion: 'has no meaning in BFD: its packets carry no version',
    honorPeerAdvertisedPassive: 'has no meaning in BFD: its packets do not say that the sender is passive',
    requireDiscriminator:
      'has no meaning in BFD, where a Down may name no discriminator in every state (RFC 5880 §6.8.6): use `auth` against forged packets',
  },
};

/** The options of a registration that only BFD has. */
const BFD_OPTIONS = ['multihop', 'passive', 'minTtl', 'auth', 'onPeerAdminDown'] as const;

/** Fields of a configuration that have no meaning in its protocol. `false` is what such a field means there. */
export function foreignIssues(given: object, protocol: ProtocolName, wrong: ReadonlySet<string>): ConfigIssue[] {
  return Object.entries(FOREIGN_FIELDS[protocol]).flatMap(([path, why]) => {
    const value = (given as Record<string, unknown>)[path];
    return value === undefined || value === false || wrong.has(path) ? [] : [{ path, message: `\`${path}\` ${why}` }];
  });
}

/** Options of a registration that have no meaning in the manager's protocol. */
export function foreignOptionIssues(given: object, protocol: ProtocolName): ConfigIssue[] {
  if (protocol === 'bfd') return [];
  return BFD_OPTIONS.filter((path) => (given as Record<string, unknown>)[path] !== undefined).map((path) => {
    return { path, message: `\`${path}\` is an option of BFD, and this manager speaks the liveness protocol: set \`protocol\` to \`bfd\`` };
  });
}
