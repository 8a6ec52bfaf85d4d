/** The two legs of a route that has a backup, and which of them it is to run on. */
import { addressText } from '../base/address.js';
import type { Leg, RegisteredRoute } from './installer.js';
import type { PlacedRoute } from './reader-writer.js';
import { isSamePlace } from './same-place.js';

/**
 * What the primary is good for: the route belongs on it; a route that is on it stays, and none is moved to it; or no route is to run
 * on it.
 */
export type PrimaryUse = 'usable' | 'kept' | 'unusable';

/** Where neither leg is of use, the route is withdrawn from the one that it is on. */
export function wantedLeg(leg: Leg, primary: PrimaryUse, isBackupUsable: boolean): Leg {
  if (primary === 'usable' || (primary === 'kept' && leg === 'primary')) return 'primary';
  return isBackupUsable ? 'backup' : leg;
}

/** A backup without a session counts as working. */
export function isBackupUsable({ backup }: RegisteredRoute): boolean {
  return backup !== undefined && (backup.session === undefined || backup.session.up);
}

/** The route as the backend has it on a leg. */
export function placedOn({ route, iface, backup }: RegisteredRoute, leg: Leg): PlacedRoute {
  if (leg === 'primary' || backup === undefined) return { route, iface };
  return { route: Object.freeze({ ...route, nextHop: addressText(backup.nextHop) }), iface: backup.iface };
}

/** The leg on which the backend has a route; `undefined` for another route in its slot. */
export function legOf(registered: RegisteredRoute, placed: PlacedRoute): Leg | undefined {
  if (isSamePlace(placedOn(registered, 'primary'), placed)) return 'primary';
  return registered.backup !== undefined && isSamePlace(placedOn(registered, 'backup'), placed) ? 'backup' : undefined;
}
