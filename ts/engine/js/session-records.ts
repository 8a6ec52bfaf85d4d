/** Events of the core as the records that an engine delivers. */
import type { SessionRecord } from '../engine.js';
import type { CoreEvent, CoreTransition } from './engine-core.js';

export function toRecord(event: CoreEvent): SessionRecord {
  const nothing = {
    id: event.id,
    from: 'down',
    to: 'down',
    reason: 'none',
    cause: 'handle_rx',
    atUs: 0,
    count: 0,
    lastDown: undefined,
    localStallUs: 0,
    peerPassive: undefined,
    everUp: false,
    convStartUs: undefined,
    lastRxUs: undefined,
    longRoundTripUs: undefined,
  } as const;
  if (event.kind === 'peer_passive') return { ...nothing, peerPassive: event.passive };
  if (event.kind === 'long_round_trip') return { ...nothing, longRoundTripUs: event.atLeastUs };
  return { ...nothing, ...transitionRecord(event) };
}

function transitionRecord(event: CoreTransition): Partial<SessionRecord> {
  const { from, to, reason, cause, at, localStallUs, peerPassive, everUp, convStart, lastRx, localDiag, remoteDiag } = event;
  const wentDown = to === 'down' && (from === 'up' || from === 'init');
  const lastDown = wentDown ? { atUs: at, reason, localStallUs } : undefined;
  const times = { atUs: at, convStartUs: convStart, lastRxUs: lastRx };
  return { from, to, reason, cause, count: 1, lastDown, localStallUs, peerPassive, everUp, ...times, localDiag, remoteDiag };
}
