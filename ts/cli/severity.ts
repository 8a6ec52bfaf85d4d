/** Which sessions an operator wants to see first. */
import type { RouteJson, SessionJson } from '../agent/control-api.js';

type Watched = Pick<SessionJson, 'liveness_status' | 'liveness_last_updated'> & { readonly ever_up?: boolean };

/** Worst first. */
const RANKS = ['down', 'init', 'never up', 'admin_down', 'up'] as const;

/** A session's state, where one that was never Up is told from one that failed: `never up` is a matter of set-up. */
export type ShownState = (typeof RANKS)[number];

export function shownState({ liveness_status, ever_up }: Watched): ShownState {
  return liveness_status === 'down' && ever_up === false ? 'never up' : liveness_status;
}

/** Worst first; of equal ones the one first that changed last. */
export function worstFirst(first: Watched, second: Watched): number {
  const rank = RANKS.indexOf(shownState(first)) - RANKS.indexOf(shownState(second));
  return rank !== 0 ? rank : changedFirst(first, second);
}

/** What changed last comes first. ISO 8601 in UTC sorts as text. */
export function changedFirst(first: Watched, second: Watched): number {
  const [a, b] = [first.liveness_last_updated ?? '', second.liveness_last_updated ?? ''];
  return a === b ? 0 : a < b ? 1 : -1;
}

/** Routes: one that a failure keeps from where it should be comes before all others. */
export function worstRouteFirst(first: RouteJson, second: RouteJson): number {
  const failed = Number(second.last_error !== null) - Number(first.last_error !== null);
  return failed !== 0 ? failed : worstFirst(first, second);
}

/** Whether a route does what it is there for: its session is Up, and the backend has it. */
export function isInOrder({ liveness_status, rt_status, last_error }: RouteJson): boolean {
  return liveness_status === 'up' && rt_status === 'present' && last_error === null;
}
