/** The state table of RFC 5880 §6.8.6: one pure function, one row a case, each with its clause. */
import type { Rules } from '../rules.js';
import type { State } from '../state.js';
import { accepted, ignored, type Situation, type Verdict } from '../transition.js';

/** What a BFD session does with a packet. No rule set changes it. */
export function receiveBfd(_: Rules, { state, received, names }: Situation): Verdict {
  // "If bfd.SessionState is AdminDown, discard the packet."
  if (state === 'admin_down') return ignored('admin_down');
  // "If the Your Discriminator field is nonzero, it MUST be used to select the session […] If no session is found, the packet
  // MUST be discarded."
  if (names === 'another') return ignored('foreign_discr');
  // "Set bfd.RemoteDiscr to the value of My Discriminator."
  return accepted(nextState(state, received), 'learn');
}

function nextState(state: Exclude<State, 'admin_down'>, received: State): State {
  // "If received state is AdminDown: if bfd.SessionState is not Down […] set bfd.SessionState to Down."
  if (received === 'admin_down') return 'down';
  switch (state) {
    case 'down':
      // "If bfd.SessionState is Down: if received State is Down, set bfd.SessionState to Init; else if received State is Init, set
      // bfd.SessionState to Up." A received Up changes nothing.
      if (received === 'down') return 'init';
      return received === 'init' ? 'up' : 'down';
    case 'init':
      // "Else if bfd.SessionState is Init: if received State is Init or Up, set bfd.SessionState to Up."
      return received === 'down' ? 'init' : 'up';
    case 'up':
      // "Else (bfd.SessionState is Up): if received State is Down […] set bfd.SessionState to Down."
      return received === 'down' ? 'down' : 'up';
  }
}
