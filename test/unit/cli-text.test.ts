/** What the commands write: tables, times, events, and the text of others in them. */
import { expect, it } from 'vitest';

import type { AgentEvent } from '../../ts/agent/control-api.js';
import { eventText } from '../../ts/cli/event-text.js';
import { painterFor } from '../../ts/cli/paint.js';
import { printable } from '../../ts/cli/printable.js';
import { routeColumns } from '../../ts/cli/route-columns.js';
import { lastDown, sessionColumns } from '../../ts/cli/session-columns.js';
import { cut, table } from '../../ts/cli/table.js';
import { age, milliseconds } from '../../ts/cli/times.js';
import { AT, routeView, sessionView } from '../operator/agent-views.js';

const NOW = Date.parse(AT);
const plain = painterFor({ isTTY: false });

const transition: AgentEvent = {
  type: 'transition',
  at: AT,
  manager: 'fabric',
  iface: 'eth1',
  local_ip: '10.201.0.1',
  peer_ip: '10.201.0.2',
  from: 'up',
  to: 'down',
  reason: 'timeout',
  cause: 'detect_timeout',
  local_stall_ms: 0,
  silence_ms: 150.2,
  count: 1,
  local_diag: null,
  remote_diag: null,
};

it('an age has the two units that say something', () => {
  const ages = [0, 59_999, 60_000, 3_600_000, 7_800_000, 97_200_000].map((ago) => age(new Date(NOW - ago).toISOString(), NOW));
  expect(ages).toEqual(['0 s', '59 s', '1 min', '1 h 0 min', '2 h 10 min', '1 d 3 h']);
  expect(age(null, NOW)).toBe('–');
  // The clocks of two hosts.
  expect(age(new Date(NOW + 5_000).toISOString(), NOW)).toBe('0 s');
});

it('a duration has the digits that say something', () => {
  expect([150, 3.3, 55.123, 151.2, 0, null, 60_000].map(milliseconds)).toEqual([
    '150 ms',
    '3.3 ms',
    '55.1 ms',
    '151 ms',
    '0 ms',
    '–',
    '60 s',
  ]);
});

it('a table of sessions names the manager only where there are several', () => {
  const sessions = [
    sessionView({ liveness_status: 'down', reason: 'timeout', local_stall_ms: 120, flaps: 3 }),
    sessionView({ peer_ip: '10.201.0.3', worst_gap_ms: null }),
  ];
  const text = table(sessionColumns(sessions, NOW), sessions, plain);
  expect(text).toMatch(/^STATE +SINCE +PEER +IFACE +LOCAL +DETECT +WORST GAP +FLAPS +LAST DOWN +ROUTES\n/);
  expect(text).toMatch(
    /\ndown +1 h 0 min +10\.201\.0\.2 +eth1 +10\.201\.0\.1 +150 ms +55\.1 ms +3 +timeout, we were 120 ms late +10\.9\.0\.2\/32\n/,
  );
  const two = [...sessions, sessionView({ manager: 'edge' })];
  expect(table(sessionColumns(two, NOW), two, plain)).toMatch(/^STATE +SINCE +MANAGER +PEER/);
});

it('a delay of our own is told where it may be the reason: from a quarter of the detection time on', () => {
  const told = [0, 37, 38, 120].map((local_stall_ms) => lastDown(sessionView({ reason: 'timeout', local_stall_ms })));
  expect(told).toEqual(['timeout', 'timeout', 'timeout, we were 38 ms late', 'timeout, we were 120 ms late']);
  expect(lastDown(sessionView({ reason: 'remote_down', local_stall_ms: 120 }))).toBe('remote_down');
  expect(lastDown(sessionView())).toBe('–');
});

it('no line of a table is wider than the terminal; what is cut off is marked', () => {
  const sessions = [sessionView({ routes: Array.from({ length: 50 }, (_, index) => `10.9.0.${index}/32`) })];
  for (const width of [10, 40, 80, 120]) {
    const lines = table(sessionColumns(sessions, NOW), sessions, plain, width).trimEnd().split('\n');
    expect(lines.map((line) => line.length).filter((length) => length > width)).toEqual([]);
    expect(lines[1]).toMatch(/…$/);
  }
  expect(table(sessionColumns(sessions, NOW), sessions, plain)).toContain('10.9.0.49/32');
  expect(['abc', 'abcd', ''].map((text) => cut(text, 3))).toEqual(['abc', 'ab…', '']);
});

it('a table of routes says why one is not in order', () => {
  const routes = [
    routeView({ last_error: 'EEXIST: File exists', rt_status: 'absent', restore_at: AT }),
    routeView({ table: 100, admin_down: true, origin: 'api', held_until: AT }),
    routeView({ table: 101, rt_status: 'absent', suppressed_until: AT }),
  ];
  const text = table(routeColumns(routes, NOW), routes, plain);
  expect(text).toMatch(/absent +up .* main +10\.201\.0\.2 +EEXIST: File exists; tried again at \d\d:\d\d:\d\d\n/);
  expect(text).toMatch(/present +up .* 100 +10\.201\.0\.2 +out of service; held until \d\d:\d\d:\d\d; from the API\n/);
  expect(text).toMatch(/absent +up .* 101 +10\.201\.0\.2 +suppressed until \d\d:\d\d:\d\d\n/);
});

it('text of others cannot move the cursor, forge a line or turn the direction of writing', () => {
  const forged = '\u001b[2J\u009b31mred\r\nUp\u202e\u2066\u0007';
  expect(printable(forged)).toBe('�[2J�31mred��Up���');
  const routes = [routeView({ last_error: forged })];
  // eslint-disable-next-line no-control-regex -- none of them may be there
  expect(table(routeColumns(routes, NOW), routes, plain)).not.toMatch(/[\u0000-\u0009\u000b-\u001f\u0080-\u009f]/);
  expect(eventText({ type: 'hold', at: AT, manager: 'm', peer_ip: null, held_until: AT, note: forged }).text).not.toContain('\u001b');
});

it('colours are on a terminal alone, and NO_COLOR takes them away', () => {
  const before = process.env['NO_COLOR'];
  try {
    delete process.env['NO_COLOR'];
    expect(painterFor({ isTTY: true })('red', 'x')).toBe('\u001b[31mx\u001b[0m');
    expect(painterFor({})('red', 'x')).toBe('x');
    process.env['NO_COLOR'] = '1';
    expect(painterFor({ isTTY: true })('red', 'x')).toBe('x');
  } finally {
    if (before === undefined) delete process.env['NO_COLOR'];
    else process.env['NO_COLOR'] = before;
  }
});

it('each kind of event has its line', () => {
  const route = { type: 'route', at: AT, manager: 'fabric', iface: 'eth1', dst: '10.9.0.2/32', next_hop: '10.201.0.2' } as const;
  const hold = { at: AT, manager: 'fabric', peer_ip: null, held_until: null, note: null };
  const reload = { type: 'reload', at: AT, added: 1, removed: 2, changed: 3 } as const;
  const lines = (
    [
      transition,
      { ...transition, local_stall_ms: 100, count: 4 },
      { ...transition, reason: 'remote_down', silence_ms: null, remote_diag: 'neighbour_signalled_down' },
      { ...transition, from: 'down', to: 'up', reason: 'timeout', silence_ms: null },
      { ...route, op: 'delete', leg: 'primary', ok: true, error: null, duration_ms: 0.114 },
      { ...route, op: 'add', leg: 'primary', ok: false, error: 'EPERM', duration_ms: 1 },
      { ...hold, type: 'hold', peer_ip: '10.201.0.2', note: 'new optics' },
      { ...hold, type: 'release' },
      { ...reload, ok: true, error: null },
      { ...reload, ok: false, error: 'agent.yaml:3:5: no' },
      { type: 'gap', at: AT, after: 4, before: 90 },
    ] satisfies AgentEvent[]
  ).map((event) => {
    const { kind, text } = eventText(event);
    return `${kind} | ${text}`;
  });
  expect(lines).toEqual([
    'down | 10.201.0.2 on eth1 from 10.201.0.1: up → down (timeout, silent for 150 ms, own delay 0 ms)',
    'down | 10.201.0.2 on eth1 from 10.201.0.1: up → down (timeout, silent for 150 ms, own delay 100 ms, 4 transitions)',
    'down | 10.201.0.2 on eth1 from 10.201.0.1: up → down (remote_down, the peer says neighbour_signalled_down)',
    'up | 10.201.0.2 on eth1 from 10.201.0.1: down → up',
    'route | 10.9.0.2/32 via 10.201.0.2 on eth1 withdrawn in 0.11 ms',
    'route | 10.9.0.2/32 via 10.201.0.2 on eth1 could not be installed: EPERM',
    'hold | sessions with 10.201.0.2 of fabric: new optics',
    'release | all sessions of fabric',
    'reload | 1 added, 2 removed, 3 changed',
    'reload | refused, nothing was changed: agent.yaml:3:5: no',
    'gap | what happened between event 4 and event 90 is not there any more',
  ]);
});

it('an event that this program does not know is shown as it came', () => {
  const unknown = { type: 'eclipse', at: AT } as unknown as AgentEvent;
  expect(eventText(unknown)).toMatchObject({ kind: 'other', text: `{"type":"eclipse","at":"${AT}"}` });
});
