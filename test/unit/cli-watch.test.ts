/** The live view, without a terminal. */
import { describe, expect, it } from 'vitest';

import type { SessionJson } from '../../ts/agent/control-api.js';
import { painterFor } from '../../ts/cli/paint.js';
import { WatchView } from '../../ts/cli/watch-view.js';
import { AT, manySessions, sessionView } from '../operator/agent-views.js';

const SIZE = { columns: 120, rows: 24 };
/** Two lines above the table's title, and one below the table. */
const ROOM = SIZE.rows - 4;

function viewOf(sessions: readonly SessionJson[]): WatchView {
  const view = new WatchView('/run/agent.sock', painterFor({}));
  view.answered({ at: AT, sessions });
  return view;
}

const peersOf = (view: WatchView, size = SIZE): string[] =>
  view
    .frame(size)
    .slice(3, -1)
    .flatMap((line) => /\d+\.\d+\.\d+\.\d+/.exec(line)?.[0] ?? []);

const press = (view: WatchView, ...keys: string[]): boolean[] =>
  keys.map((key) => (key.length === 1 ? view.key(/[a-z]/.test(key) ? key : '', key) : view.key(key)));

describe('the live view', () => {
  it('fills the screen, and no line is wider than it', () => {
    const view = viewOf(manySessions(5_000));
    for (const size of [SIZE, { columns: 40, rows: 10 }, { columns: 250, rows: 60 }, { columns: 5, rows: 2 }, { columns: 80, rows: 1 }]) {
      const lines = view.frame(size);
      expect(lines).toHaveLength(size.rows);
      expect(lines.filter((line) => line.length > size.columns)).toEqual([]);
    }
  });

  it('has the worst session on top, whatever their number', () => {
    const view = viewOf(manySessions(5_000, (index) => (index === 4_321 ? { liveness_status: 'down', reason: 'timeout' } : {})));
    const lines = view.frame(SIZE);
    expect(lines[0]).toContain('5000 sessions: 1 down, 4999 up');
    expect(lines[1]).toContain(`1–${ROOM} of 5000`);
    expect(lines[3]).toMatch(/^down .*10\.201\.16\.225 .*timeout/);
  });

  it('scrolls by line, by page and to both ends, and no further', () => {
    const view = viewOf(manySessions(100));
    press(view, 's', 's', 's', 's', 's');
    const first = (): string | undefined => peersOf(view)[0];
    expect(first()).toBe('10.201.0.0');
    press(view, 'down', 'j');
    expect(first()).toBe('10.201.0.2');
    press(view, 'pagedown');
    expect(first()).toBe(`10.201.0.${2 + ROOM}`);
    press(view, 'end', 'down', 'pagedown');
    expect(peersOf(view).at(-1)).toBe('10.201.0.99');
    expect(peersOf(view)).toHaveLength(ROOM);
    press(view, 'home', 'up', 'pageup');
    expect(first()).toBe('10.201.0.0');
  });

  it('stays full when sessions go away while it shows the end', () => {
    const view = viewOf(manySessions(100));
    view.frame(SIZE);
    press(view, 'end');
    view.answered({ at: AT, sessions: manySessions(30) });
    expect(peersOf(view)).toHaveLength(ROOM);
  });

  it('`s` goes through the orders and comes back to the first, `r` reverses', () => {
    const view = viewOf(manySessions(3, (index) => ({ flaps: index })));
    const named = [1, 2, 3, 4, 5, 6].map(() => {
      press(view, 's');
      return /sorted by ([a-z ]+)/.exec(view.frame(SIZE)[1] ?? '')?.[1];
    });
    expect(new Set(named).size).toBe(6);
    expect(named.at(-1)).toBe('worst first');
    press(view, 's', 's', 's');
    expect(view.frame(SIZE)[1]).toContain('sorted by flaps');
    expect(peersOf(view)).toEqual(['10.201.0.2', '10.201.0.1', '10.201.0.0']);
    press(view, 'r');
    expect(view.frame(SIZE)[1]).toContain('sorted by flaps, reversed');
    expect(peersOf(view)).toEqual(['10.201.0.0', '10.201.0.1', '10.201.0.2']);
  });

  it('a filter is typed, with letters that are commands elsewhere; Esc shows everything again', () => {
    const view = viewOf([...manySessions(20), sessionView({ peer_ip: '192.0.2.1', iface: 'qrsn0' })]);
    expect(press(view, '/', 'q', 'r', 's', 'n')).toEqual([true, true, true, true, true]);
    expect(view.frame(SIZE)[1]).toContain('filter: qrsn▏');
    expect(peersOf(view)).toEqual(['192.0.2.1']);
    press(view, 'x', 'backspace', 'return');
    expect(peersOf(view)).toEqual(['192.0.2.1']);
    press(view, 'escape');
    expect(peersOf(view)).toHaveLength(ROOM);
  });

  it('a filter finds a state, a destination and a reason', () => {
    const view = viewOf([
      sessionView({ peer_ip: '192.0.2.1', liveness_status: 'down', ever_up: false }),
      sessionView({ peer_ip: '192.0.2.2', routes: ['198.51.100.0/24'] }),
      sessionView({ peer_ip: '192.0.2.3', liveness_status: 'down', reason: 'remote_admin' }),
    ]);
    for (const [text, peer] of [
      ['never up', '192.0.2.1'],
      ['198.51', '192.0.2.2'],
      ['REMOTE_A', '192.0.2.3'],
    ] as const) {
      press(view, 'escape', '/', ...text.split(''), 'return');
      expect(peersOf(view)).toEqual([peer]);
    }
  });

  it('`n` leaves the sessions that are not Up', () => {
    const view = viewOf(manySessions(30, (index) => (index % 10 === 0 ? { liveness_status: 'init' } : {})));
    press(view, 'n');
    expect(peersOf(view).sort()).toEqual(['10.201.0.0', '10.201.0.10', '10.201.0.20']);
    expect(view.frame(SIZE)[1]).toContain('only not Up');
  });

  it('says since when the agent does not answer, and keeps what it showed', () => {
    const view = viewOf(manySessions(3));
    view.failed('nobody listens', Date.parse(AT));
    view.failed('nobody listens still', Date.parse(AT) + 60_000);
    const lines = view.frame(SIZE);
    expect(lines[0]).toMatch(/^No answer since \d\d:00:00: nobody listens still$/);
    expect(peersOf(view)).toHaveLength(3);
    view.answered({ at: AT, sessions: manySessions(2) });
    expect(view.frame(SIZE)[0]).toContain('2 sessions: 2 up');
  });

  it('`q` ends it, and no other key does', () => {
    const view = viewOf([]);
    expect(view.frame(SIZE)[1]).toContain('no session');
    expect(press(view, 'x', '?', 'up', 'f1', 'tab')).toEqual([true, true, true, true, true]);
    expect(press(view, 'q')).toEqual([false]);
  });
});
