/**
 * The state table: what a session does with a packet, as one pure function. Each row of the function is one case, with the
 * clause that asks for it; `test/unit/state-table.test.ts` has the same rows. The native engine has the same table.
 */
import type { Rules } from './rules.js';
import type { DownReason, State } from './state.js';
import { accepted, ignored, type IgnoreReason, type Situation, type Verdict } from './transition.js';

/** What decides beside the two states. */
export interface PacketContext {
  /** The packet carries our discriminator as the peer's: the sender has received packets of ours. */
  readonly namesUs: boolean;
  /** The session has been Up for less than its detection time: a Down may have been sent before the peer knew. */
  readonly isFreshlyUp: boolean;
}

/** Drop the packet, or take it and go to a state, possibly the same. `reason` is the reason for Down that it gives. */
export type Decision =
  { readonly ignore: IgnoreReason } | { readonly ignore?: undefined; readonly to: State; readonly reason: DownReason | undefined };

const IGNORED_IN_ADMIN_DOWN: Decision = { ignore: 'admin_down' };
const STALE_DOWN: Decision = { ignore: 'stale_down' };
const REMOTE_ADMIN: Decision = { to: 'down', reason: 'remote_admin' };
const REMOTE_DOWN: Decision = { to: 'down', reason: 'remote_down' };
const TO_INIT: Decision = { to: 'init', reason: undefined };
const TO_UP: Decision = { to: 'up', reason: undefined };

/** The state table of the liveness protocol: `decide`, and what it does not see of a packet. */
export function receive(rules: Rules, situation: Situation): Verdict {
  const { state, isFreshlyUp, knowsPeer } = situation;
  let { received, names } = situation;
  // RFC 5880 §6.8.6: a session in AdminDown discards all packets.
  if (state === 'admin_down') return ignored('admin_down');
  // Configured: in Up, a packet that names nobody proves nothing.
  if (names === 'nobody' && state === 'up' && situation.requiresDiscriminator) return ignored('foreign_discr');
  if (names === 'another') {
    const accepts = rules.acceptsForeignDiscriminatorWhenDown && state === 'down' && !knowsPeer && received !== 'admin_down';
    // §6.8.6: no session has this discriminator.
    if (!accepts) return ignored('foreign_discr');
    // A peer that knows our predecessor is heard again.
    [received, names] = ['down', 'nobody'];
  }
  if (!situation.intervalIsFollowed) return ignored('bad_interval');
  const namesUs = names === 'us';
  const decision = decide(state, received, { namesUs, isFreshlyUp }, rules);
  if (decision.ignore !== undefined) return ignored(decision.ignore);
  const { to } = decision;
  // A peer that comes back from AdminDown may be another.
  if (received === 'admin_down') return accepted(to, rules.learnsFromEveryPacket ? 'forget' : 'keep');
  return accepted(to, learns(rules, state, to, namesUs, knowsPeer) ? 'learn' : 'keep');
}

/** Whether the packet's discriminator is the peer's from now on. */
function learns(rules: Rules, state: State, to: State, namesUs: boolean, knowsPeer: boolean): boolean {
  // In Up, only from a packet that carries our discriminator; a Down that takes us Down is of a peer that has restarted.
  return rules.learnsFromEveryPacket ? to !== 'up' || namesUs : to !== 'down' && (!knowsPeer || state === 'up');
}

/** @param state ours, before the packet */
export function decide(state: State, received: State, { namesUs, isFreshlyUp }: PacketContext, rules: Rules): Decision {
  // RFC 5880 §6.8.6: a session in AdminDown discards all packets.
  if (state === 'admin_down') return IGNORED_IN_ADMIN_DOWN;
  // §6.8.6: AdminDown of the peer takes us Down; in Down only the reason changes.
  if (received === 'admin_down') return REMOTE_ADMIN;
  switch (state) {
    case 'down':
      // §6.8.6: Down and Down: Init.
      if (received === 'down') return TO_INIT;
      // §6.8.6 has Up for Init only; in the reference, Init or Up that name us: Up, and Init for those that do not.
      return namesUs ? TO_UP : TO_INIT;
    case 'init':
      // §6.2: Init stays in Init on a Down. The reference goes Down.
      if (received === 'down') return rules.staysInitOnDown ? TO_INIT : REMOTE_DOWN;
      // §6.8.6: Init or Up: Up. In the reference only those that name us.
      return namesUs ? TO_UP : TO_INIT;
    case 'up':
      // §6.8.6: Init and Up keep the session Up.
      if (received !== 'down') return TO_UP;
      // The reference: a Down within the first detection time of Up may be left over from the handshake.
      if (isFreshlyUp) return STALE_DOWN;
      // §6.8.6: Down of the peer takes us Down.
      return REMOTE_DOWN;
  }
}
