/** What a slot of a called backend is to hold. A pure function of its registration, its session and what the slot may hold. */
import type { SessionId } from '../engine/engine.js';
import type { Leg, RegisteredRoute } from './installer.js';
import { isBackupUsable, type PrimaryUse } from './route-legs.js';

/** The settings that decide which state of a slot is desired. */
export interface InstallerOptions {
  /** Routes are installed while they are registered; sessions and admin states have no effect. */
  readonly passiveMode: boolean;
  /** A session that goes Down keeps its route if the peer is passive. */
  readonly honorPeerAdvertisedPassive: boolean;
  /** After so many milliseconds a call counts as failed. */
  readonly routeTimeout: number;
  /** Whether a session is in maintenance: its routes stay as they are on a Down. */
  readonly isMaintained: (session: SessionId) => boolean;
}

/**
 * `unchanged`: whatever the slot holds stays. `unchanged on primary`: so it does, but for a route on the backup, which was on its way to
 * the primary when the session went Down.
 */
export type DesiredState = 'installed' | 'absent' | 'unchanged' | 'unchanged on primary';

/** The situation of a slot. */
export interface SlotSituation {
  readonly registered: RegisteredRoute;
  /** What the route runs on, if it is installed. */
  readonly leg: Leg;
  /** The registration has ended. */
  readonly isWithdrawing: boolean;
  /** An adopted or replaced route is kept until its session comes Up. */
  readonly isHeld: boolean;
  /** The session is Up, and the route is not to be added yet. */
  readonly isWaiting: boolean;
  /** The slot may hold the registered route, on its leg. */
  readonly isThere: boolean;
  /** The slot holds the registered route or nothing: AdminDown keeps no route that another one has replaced. */
  readonly holdsNoOther: boolean;
}

type Options = Omit<InstallerOptions, 'routeTimeout'>;

export function desiredState(situation: SlotSituation, options: Options): DesiredState {
  const { registered, leg, isWithdrawing, isHeld, isWaiting } = situation;
  const { noUninstall, adminDown, session } = registered;
  const { passiveMode, honorPeerAdvertisedPassive, isMaintained } = options;
  const withdrawn = noUninstall ? 'unchanged' : 'absent';
  if (isWithdrawing) return withdrawn;
  if (passiveMode) return 'installed';
  if (adminDown) return withdrawn;
  if (leg === 'backup') return stateOnBackup(situation, options, withdrawn);
  if (session.up) return isWaiting ? stateWhileWaiting(situation, withdrawn) : 'installed';
  if (isMaintained(session.id) || isHeld) return 'unchanged';
  if (isKeptByAdminDown(situation)) return 'unchanged';
  if (!honorPeerAdvertisedPassive || !session.peerPassive) return withdrawn;
  return noUninstall ? 'unchanged' : 'unchanged on primary';
}

/** How far the primary of a route with a backup can be used. */
export function primaryUse(situation: SlotSituation, { honorPeerAdvertisedPassive, isMaintained }: Options): PrimaryUse {
  const { registered, isHeld, isWaiting, isThere } = situation;
  const { session } = registered;
  if (session.up) {
    if (!isWaiting) return 'usable';
    return isThere ? 'kept' : 'unusable';
  }
  const isKeptByPeer = (honorPeerAdvertisedPassive && session.peerPassive) || isKeptByAdminDown(situation);
  return isMaintained(session.id) || isHeld || (isThere && isKeptByPeer) ? 'kept' : 'unusable';
}

function stateOnBackup({ registered, isHeld }: SlotSituation, { isMaintained }: Options, withdrawn: DesiredState): DesiredState {
  const { session, backup } = registered;
  if (isBackupUsable(registered)) return 'installed';
  const stays = isMaintained(session.id) || (backup?.session !== undefined && isMaintained(backup.session.id));
  return stays || isHeld ? 'unchanged' : withdrawn;
}

/** A route that is there stays; another one that it has replaced stays no longer than without a suppression. */
function stateWhileWaiting({ isHeld, holdsNoOther }: SlotSituation, withdrawn: DesiredState): DesiredState {
  return isHeld || holdsNoOther ? 'unchanged' : withdrawn;
}

/** RFC 5882 §3.2, where the registration asks for it. */
function isKeptByAdminDown({ registered: { session }, holdsNoOther }: SlotSituation): boolean {
  return session.keepsOnPeerAdminDown && session.isPeerAdminDown && holdsNoOther;
}
