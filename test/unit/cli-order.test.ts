/** Which sessions and routes an operator sees first. */
import { expect, it } from 'vitest';

import { isInOrder, shownState, worstFirst, worstRouteFirst } from '../../ts/cli/severity.js';
import { summary } from '../../ts/cli/summary.js';
import { ORDERS } from '../../ts/cli/watch-order.js';
import { routeView, sessionView } from '../operator/agent-views.js';

const changedAt = (minute: number): string => `2026-11-26T11:${`${minute}`.padStart(2, '0')}:00.000Z`;

it('sessions that failed come before Init, before those never Up, before AdminDown, before Up', () => {
  const sessions = [
    sessionView({ peer_ip: 'up' }),
    sessionView({ peer_ip: 'admin', liveness_status: 'admin_down' }),
    sessionView({ peer_ip: 'never', liveness_status: 'down', ever_up: false }),
    sessionView({ peer_ip: 'init', liveness_status: 'init' }),
    sessionView({ peer_ip: 'down', liveness_status: 'down' }),
  ];
  expect(sessions.sort(worstFirst).map(({ peer_ip }) => peer_ip)).toEqual(['down', 'init', 'never', 'admin', 'up']);
});

it('of sessions in one state the one comes first that changed last', () => {
  const sessions = [5, 9, 1].map((minute) => sessionView({ liveness_last_updated: changedAt(minute), liveness_status: 'down' }));
  const unknown = sessionView({ liveness_last_updated: null, liveness_status: 'down' });
  const sorted = [unknown, ...sessions].sort(worstFirst).map(({ liveness_last_updated }) => liveness_last_updated);
  expect(sorted).toEqual([changedAt(9), changedAt(5), changedAt(1), null]);
});

it('a Down session that was Up before is not shown as never Up', () => {
  expect(shownState(sessionView({ liveness_status: 'down', ever_up: true }))).toBe('down');
  expect(shownState(sessionView({ liveness_status: 'init', ever_up: false }))).toBe('init');
});

it('a route whose last operation failed comes before one whose session is Down', () => {
  const routes = [
    routeView({ dst: 'good' }),
    routeView({ dst: 'down', liveness_status: 'down', rt_status: 'absent' }),
    routeView({ dst: 'failed', last_error: 'no room' }),
  ];
  expect(routes.sort(worstRouteFirst).map(({ dst }) => dst)).toEqual(['failed', 'down', 'good']);
});

it('a route is in order when its session is Up, the backend has it, and nothing failed', () => {
  expect(isInOrder(routeView())).toBe(true);
  for (const wrong of [{ rt_status: 'absent' }, { liveness_status: 'down' }, { last_error: 'no room' }] as const) {
    expect(isInOrder(routeView(wrong))).toBe(false);
  }
});

it('the summary counts the states, worst first, and what is held', () => {
  const sessions = [
    sessionView(),
    sessionView({ held_until: changedAt(59) }),
    sessionView({ liveness_status: 'down' }),
    sessionView({ liveness_status: 'down', ever_up: false }),
  ];
  expect(summary(sessions)).toBe('4 sessions: 1 down, 1 never up, 2 up; 1 held');
  expect(summary(sessions.slice(0, 1))).toBe('1 session: 1 up');
  expect(summary([])).toBe('0 sessions');
});

it('peers are sorted as numbers, and gaps by their share of the detection time', () => {
  const order = (name: string) => ORDERS.find((it) => it.name.includes(name))?.compare ?? worstFirst;
  const peers = ['10.0.0.10', '10.0.0.9', 'fe80::2', '10.0.0.100'].map((peer_ip) => sessionView({ peer_ip }));
  expect(peers.sort(order('peer')).map(({ peer_ip }) => peer_ip)).toEqual(['10.0.0.9', '10.0.0.10', '10.0.0.100', 'fe80::2']);
  const gaps = [
    sessionView({ peer_ip: 'none', worst_gap_ms: null }),
    sessionView({ peer_ip: 'half', worst_gap_ms: 500, detect_time_ms: 1_000 }),
    sessionView({ peer_ip: 'near', worst_gap_ms: 140, detect_time_ms: 150 }),
  ];
  expect(gaps.sort(order('gap')).map(({ peer_ip }) => peer_ip)).toEqual(['near', 'half', 'none']);
});
