/** The state table of BFD, row by row, as `crate/src/protocol/bfd/state_table.rs` has it. */
import { describe, expect, it } from 'vitest';

import { RFC5880, type State } from '../../ts/protocol.js';
import { receiveBfd } from '../../ts/protocol/bfd/state-table.js';
import type { Names, Situation } from '../../ts/protocol/transition.js';

const STATES: readonly State[] = ['admin_down', 'down', 'init', 'up'];

function situation(state: State, received: State, names: Names, changes: Partial<Situation> = {}): Situation {
  const usual = { knowsPeer: true, requiresDiscriminator: false, intervalIsFollowed: true, isFreshlyUp: false };
  return { state, received, names, ...usual, ...changes };
}

describe('the state table of BFD', () => {
  it.each<[State, State, State]>([
    ['down', 'admin_down', 'down'],
    ['down', 'down', 'init'],
    ['down', 'init', 'up'],
    ['down', 'up', 'down'],
    ['init', 'admin_down', 'down'],
    ['init', 'down', 'init'],
    ['init', 'init', 'up'],
    ['init', 'up', 'up'],
    ['up', 'admin_down', 'down'],
    ['up', 'down', 'down'],
    ['up', 'init', 'up'],
    ['up', 'up', 'up'],
  ])('leads from %s, which receives %s, to %s (RFC 5880 §6.8.6)', (state, received, to) => {
    for (const names of ['us', 'nobody'] as const) {
      expect(receiveBfd(RFC5880, situation(state, received, names))).toEqual({ to, peerDiscr: 'learn' });
    }
  });

  it('accepts a Down in Up at any time, whoever it names if it is not another, and any interval', () => {
    const newlyUp = situation('up', 'down', 'nobody', { isFreshlyUp: true, requiresDiscriminator: true });
    expect(receiveBfd(RFC5880, newlyUp)).toEqual({ to: 'down', peerDiscr: 'learn' });
    const slow = situation('up', 'up', 'us', { intervalIsFollowed: false });
    expect(receiveBfd(RFC5880, slow)).toEqual({ to: 'up', peerDiscr: 'learn' });
  });

  it('ignores every packet in AdminDown, and packets that name another session in every state', () => {
    for (const received of STATES) {
      for (const names of ['us', 'nobody', 'another'] as const) {
        expect(receiveBfd(RFC5880, situation('admin_down', received, names))).toEqual({ ignore: 'admin_down' });
      }
      for (const state of ['down', 'init', 'up'] as const) {
        expect(receiveBfd(RFC5880, situation(state, received, 'another'))).toEqual({ ignore: 'foreign_discr' });
      }
    }
  });
});
