/** How many sessions are in which state, in a line. */
import type { SessionJson } from '../agent/control-api.js';
import { type ShownState, shownState } from './severity.js';

const ORDER: readonly ShownState[] = ['down', 'init', 'never up', 'admin_down', 'up'];

/** "1000 sessions: 2 down, 998 up; 1 held". */
export function summary(sessions: readonly SessionJson[]): string {
  const counts = new Map<ShownState, number>();
  for (const session of sessions) counts.set(shownState(session), (counts.get(shownState(session)) ?? 0) + 1);
  const states = ORDER.flatMap((state) => (counts.has(state) ? [`${counts.get(state)} ${state}`] : []));
  const held = sessions.filter(({ held_until }) => held_until !== null).length;
  const noun = sessions.length === 1 ? 'session' : 'sessions';
  return `${sessions.length} ${noun}${states.length === 0 ? '' : `: ${states.join(', ')}`}${held === 0 ? '' : `; ${held} held`}`;
}
