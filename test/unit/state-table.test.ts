import { describe, expect, it } from 'vitest';

import { REFERENCE, ROBUST, State } from '../../ts/protocol.js';
import { decide, type Decision } from '../../ts/protocol/state-table.js';

type Knowledge = 'names us' | 'does not name us' | 'freshly Up' | 'long Up' | 'anything';
type Outcome = 'ignore admin_down' | 'ignore stale_down' | State | `down, ${'remote_admin' | 'remote_down'}`;
type Row = [state: State, received: State, knowledge: Knowledge, reference: Outcome, robust: Outcome, clause: string];

/** The rows of `decide`, in the same order. */
const ROWS: Row[] = [
  ['admin_down', 'admin_down', 'anything', 'ignore admin_down', 'ignore admin_down', 'RFC 5880 §6.8.6'],
  ['admin_down', 'down', 'anything', 'ignore admin_down', 'ignore admin_down', 'RFC 5880 §6.8.6'],
  ['admin_down', 'init', 'anything', 'ignore admin_down', 'ignore admin_down', 'RFC 5880 §6.8.6'],
  ['admin_down', 'up', 'anything', 'ignore admin_down', 'ignore admin_down', 'RFC 5880 §6.8.6'],
  ['down', 'admin_down', 'anything', 'down, remote_admin', 'down, remote_admin', 'RFC 5880 §6.8.6'],
  ['init', 'admin_down', 'anything', 'down, remote_admin', 'down, remote_admin', 'RFC 5880 §6.8.6'],
  ['up', 'admin_down', 'anything', 'down, remote_admin', 'down, remote_admin', 'RFC 5880 §6.8.6'],
  ['down', 'down', 'anything', 'init', 'init', 'RFC 5880 §6.8.6'],
  ['down', 'init', 'names us', 'up', 'up', 'RFC 5880 §6.8.6'],
  ['down', 'up', 'names us', 'up', 'up', 'the reference'],
  ['down', 'init', 'does not name us', 'init', 'init', 'the reference'],
  ['down', 'up', 'does not name us', 'init', 'init', 'the reference'],
  ['init', 'down', 'anything', 'down, remote_down', 'init', 'the reference; RFC 5880 §6.2'],
  ['init', 'init', 'names us', 'up', 'up', 'RFC 5880 §6.8.6'],
  ['init', 'up', 'names us', 'up', 'up', 'RFC 5880 §6.8.6'],
  ['init', 'init', 'does not name us', 'init', 'init', 'the reference'],
  ['init', 'up', 'does not name us', 'init', 'init', 'the reference'],
  ['up', 'init', 'anything', 'up', 'up', 'RFC 5880 §6.8.6'],
  ['up', 'up', 'anything', 'up', 'up', 'RFC 5880 §6.8.6'],
  ['up', 'down', 'freshly Up', 'ignore stale_down', 'ignore stale_down', 'the reference'],
  ['up', 'down', 'long Up', 'down, remote_down', 'down, remote_down', 'RFC 5880 §6.8.6'],
];

const CONTEXTS = [false, true].flatMap((namesUs) => [false, true].map((isFreshlyUp) => ({ namesUs, isFreshlyUp })));

function matches({ namesUs, isFreshlyUp }: (typeof CONTEXTS)[number], knowledge: Knowledge): boolean {
  if (knowledge === 'names us' || knowledge === 'does not name us') return namesUs === (knowledge === 'names us');
  return knowledge === 'anything' || isFreshlyUp === (knowledge === 'freshly Up');
}

function outcome(decision: Decision): string {
  if (decision.ignore !== undefined) return `ignore ${decision.ignore}`;
  return decision.reason === undefined ? decision.to : `${decision.to}, ${decision.reason}`;
}

describe('the state table', () => {
  it.each(ROWS)('%s receives %s (%s): %s under the reference’s rules, %s under the robust ones [%s]', (state, received, ...row) => {
    const [knowledge, reference, robust] = row;
    for (const context of CONTEXTS.filter((candidate) => matches(candidate, knowledge))) {
      expect(outcome(decide(state, received, context, REFERENCE))).toBe(reference);
      expect(outcome(decide(state, received, context, ROBUST))).toBe(robust);
    }
  });

  it('has exactly one row for each state, received state and context', () => {
    const states = Object.values(State);
    for (const [state, received] of states.flatMap((own) => states.map((theirs) => [own, theirs] as const))) {
      for (const context of CONTEXTS) {
        const rows = ROWS.filter((row) => row[0] === state && row[1] === received && matches(context, row[2]));
        expect(rows.length, `${state} receives ${received}, ${JSON.stringify(context)}`).toBe(1);
      }
    }
  });
});
