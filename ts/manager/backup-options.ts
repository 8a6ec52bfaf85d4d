/** The backup of a route: its options, and what they mean beside those of the route. */
import * as v from 'valibot';

import { addressText, canonicalAddress, familyOf, packAddress, type PackedAddress, unicastAddress } from '../base/address.js';
import { ConfigError, expected } from '../base/errors.js';
import { addressField, object } from '../base/fields.js';
import { parseInterface, type Peer, type Route } from '../base/route.js';

/** Where a route runs while its session is not Up. */
export interface BackupOptions {
  /** The gateway, of the route's family. With `iface`, another than that of the route itself. */
  nextHop: string;
  /** The output interface. */
  iface: string;
  /**
   * The address of a peer that watches the backup, of the route's family: the manager keeps a session with it, with the defaults of
   * the manager unless another registration gives it others, and uses the backup only while that session is Up. Default: the backup
   * counts as working.
   */
  peerIP?: string | undefined;
  /** The local address of that session. Default: the source of the route. */
  localIP?: string | undefined;
}

/** Why a manager takes none. */
export const PASSIVE_BACKUP = '`backup` has no place in passive mode, in which routes do not follow their sessions';

const WHAT = 'the name of an interface';

export const backupField = object({
  nextHop: addressField,
  iface: v.pipe(v.string(WHAT), v.nonEmpty(WHAT)),
  peerIP: v.optional(addressField),
  localIP: v.optional(addressField),
});

/** A valid backup of one route. */
export interface ParsedBackup {
  readonly iface: string;
  readonly nextHop: PackedAddress;
  /** Of its session, if it has one. */
  readonly peer: Peer | undefined;
  /** The local address to check the interface with. */
  readonly localIP: string;
}

/**
 * Checks a backup against its route.
 *
 * @param primary the session of the route
 * @throws ConfigError naming the field; LivenessError for an interface that no name can be
 */
export function parseBackup(backup: BackupOptions, route: Readonly<Route>, primary: Peer): ParsedBackup {
  const family = familyOf(route.dst);
  for (const name of ['nextHop', 'peerIP', 'localIP'] as const) {
    const given = backup[name];
    if (given === undefined || (familyOf(given) === family && unicastAddress(given) !== undefined)) continue;
    throw fault(name, `an ${family} unicast address, as the route is of ${family}`, given);
  }
  const iface = parseInterface(backup.iface);
  const nextHop = packAddress(backup.nextHop);
  if (nextHop === packAddress(route.nextHop) && iface === primary.iface) {
    throw fault('nextHop', 'another next hop, or over another `iface`, than that of the route itself', backup.nextHop);
  }
  const localIP = canonicalAddress(backup.localIP ?? route.src) ?? route.src;
  if (backup.peerIP === undefined) {
    if (backup.localIP !== undefined)
      throw fault('localIP', 'absent without `peerIP`: it is the local address of its session', backup.localIP);
    return { iface, nextHop, peer: undefined, localIP };
  }
  const peerIP = addressText(packAddress(backup.peerIP));
  if (peerIP === localIP) throw fault('peerIP', 'another address than the local one', peerIP);
  if (iface === primary.iface && peerIP === primary.peerIP && localIP === primary.localIP) {
    throw fault('peerIP', 'another peer than that of the route itself', peerIP);
  }
  return { iface, nextHop, peer: { iface, localIP, peerIP }, localIP };
}

function fault(name: keyof BackupOptions, what: string, got: unknown): ConfigError {
  const path = `backup.${name}`;
  return new ConfigError([{ path, message: expected(path, what, got) }]);
}
