/** What a protocol's state table is asked, and what it answers. */
import type { State } from './state.js';

/** Whom the packet's "your discriminator" names (RFC 5880 §6.8.6): this session, nobody (it is 0), or another session. */
export type Names = 'us' | 'nobody' | 'another';

/** A packet and what decides what it means. */
export interface Situation {
  /** The session's state. */
  readonly state: State;
  /** The state in the packet. */
  readonly received: State;
  readonly names: Names;
  /** The peer's discriminator is known. */
  readonly knowsPeer: boolean;
  /** In Up, only packets that name this session are accepted. */
  readonly requiresDiscriminator: boolean;
  /** The peer's transmit interval is one that a session follows. */
  readonly intervalIsFollowed: boolean;
  /** The session has been Up for less than its detection time. */
  readonly isFreshlyUp: boolean;
}

/** Why a packet changed nothing, not even a timer. */
export type IgnoreReason = 'admin_down' | 'foreign_discr' | 'stale_down' | 'bad_interval';

/** What becomes of the peer's discriminator: it is the packet's from now on, it stays, or it is no longer known. */
export type PeerDiscriminator = 'learn' | 'keep' | 'forget';

/** What a session does with a packet: it ignores it, or accepts it and is in the state `to` from now on, possibly the same. */
export type Verdict =
  { readonly ignore: IgnoreReason } | { readonly ignore?: undefined; readonly to: State; readonly peerDiscr: PeerDiscriminator };

const IGNORED = {
  admin_down: { ignore: 'admin_down' },
  foreign_discr: { ignore: 'foreign_discr' },
  stale_down: { ignore: 'stale_down' },
  bad_interval: { ignore: 'bad_interval' },
} as const satisfies Record<IgnoreReason, Verdict>;

const ACCEPTED: Readonly<Record<State, Readonly<Record<PeerDiscriminator, Verdict>>>> = {
  admin_down: acceptedTo('admin_down'),
  down: acceptedTo('down'),
  init: acceptedTo('init'),
  up: acceptedTo('up'),
};

/** One value for each reason: a verdict for each packet of a flood would cost too much. */
export function ignored(why: IgnoreReason): Verdict {
  return IGNORED[why];
}

/** One value for each combination, for the same reason. */
export function accepted(to: State, peerDiscr: PeerDiscriminator): Verdict {
  return ACCEPTED[to][peerDiscr];
}

function acceptedTo(to: State): Record<PeerDiscriminator, Verdict> {
  return { learn: { to, peerDiscr: 'learn' }, keep: { to, peerDiscr: 'keep' }, forget: { to, peerDiscr: 'forget' } };
}
