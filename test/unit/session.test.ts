/** The building block `Session`: the state table and the rule sets row by row, the formulas, and what it refuses. */
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';

import {
  ConfigError,
  type ControlPacket,
  monotonicNow,
  REFERENCE,
  ROBUST,
  type Rules,
  Session,
  type SessionOptions,
} from '../../ts/protocol.js';
import type { State } from '../../ts/protocol/state.js';
import { at, BOTH, DETECT, HERE, INTERVAL, NEW_LIFE, newSession, NOBODY, options, OURS, packet, PEER, START } from './session-helpers.js';

const STATES: readonly State[] = ['admin_down', 'down', 'init', 'up'];

/** A session in the given state that has learned `PEER`. */
function sessionIn(rules: Rules, state: State, changes: Partial<SessionOptions> = {}): Session {
  const session = newSession(rules, changes);
  if (state === 'admin_down') session.core.adminDown(START * 1_000);
  if (state === 'down') {
    session.handleRx(at(0), packet('down', PEER, 0));
    session.expireIfDue(at(10_000));
  }
  if (state === 'init') session.handleRx(at(0), packet('down', PEER, 0));
  if (state === 'up') session.handleRx(at(0), packet('init', PEER, OURS));
  expect(session.getState()).toBe(state);
  return session;
}

/** Past every window that a change of state opens, and before the session forgets anything. */
function settled(session: Session): number {
  return session.getState() === 'down' ? at(10_000 + DETECT - 1) : at(DETECT);
}

function peerDiscrOf(session: Session): number {
  return session.snapshot().peerDiscr;
}

/** The detection deadline, without moving it. */
function deadlineOf(session: Session): number | undefined {
  return session.armDetect(at(-1_000));
}

/** Everything that a packet may change. */
function visible(session: Session): unknown {
  const { state, peerDiscr, lastDownReason, detectTime, txInterval } = session.snapshot();
  return { state, peerDiscr, lastDownReason, detectTime, txInterval, deadline: deadlineOf(session) };
}

/** The shortest and the longest wait until the next packet that the generator allows, of one session made anew for each. */
function extremes(make: () => Session): { least: number; most: number } {
  return { least: make().computeNextTx(at(0), () => 0) - at(0), most: make().computeNextTx(at(0), () => 1 - 2 ** -32) - at(0) };
}

describe('the state table of a session', () => {
  // now, received, peerDiscr, next state under the reference's rules, under the robust ones
  const table: [State, State, number, State, State][] = [
    ['admin_down', 'admin_down', OURS, 'admin_down', 'admin_down'],
    ['admin_down', 'down', OURS, 'admin_down', 'admin_down'],
    ['admin_down', 'init', OURS, 'admin_down', 'admin_down'],
    ['admin_down', 'up', OURS, 'admin_down', 'admin_down'],
    ['down', 'admin_down', OURS, 'down', 'down'],
    ['down', 'admin_down', 0, 'down', 'down'],
    ['down', 'down', OURS, 'init', 'init'],
    ['down', 'down', 0, 'init', 'init'],
    ['down', 'init', OURS, 'up', 'up'],
    ['down', 'init', 0, 'init', 'init'],
    ['down', 'up', OURS, 'up', 'up'],
    ['down', 'up', 0, 'init', 'init'],
    ['init', 'admin_down', OURS, 'down', 'down'],
    ['init', 'admin_down', 0, 'down', 'down'],
    ['init', 'down', OURS, 'down', 'init'],
    ['init', 'down', 0, 'down', 'init'],
    ['init', 'init', OURS, 'up', 'up'],
    ['init', 'init', 0, 'init', 'init'],
    ['init', 'up', OURS, 'up', 'up'],
    ['init', 'up', 0, 'init', 'init'],
    ['up', 'admin_down', OURS, 'down', 'down'],
    ['up', 'admin_down', 0, 'down', 'down'],
    ['up', 'down', OURS, 'down', 'down'],
    ['up', 'down', 0, 'down', 'down'],
    ['up', 'init', OURS, 'up', 'up'],
    ['up', 'init', 0, 'up', 'up'],
    ['up', 'up', OURS, 'up', 'up'],
    ['up', 'up', 0, 'up', 'up'],
  ];
  const cells = table.flatMap(([now, received, peerDiscr, ...next]) =>
    BOTH.map((rules, index) => ({ rules, now, received, peerDiscr, next: next[index] as State })),
  );

  it.each(cells)('$rules.name: $now receives $received naming $peerDiscr and is $next', ({ rules, now, received, peerDiscr, next }) => {
    const session = sessionIn(rules, now);
    const arrival = settled(session);
    expect(session.handleRx(arrival, packet(received, PEER, peerDiscr))).toBe(now !== next);
    expect(session.getState()).toBe(next);
    expect(deadlineOf(session) !== undefined, 'detection runs in Init and Up only').toBe(next === 'init' || next === 'up');
  });

  it.each(BOTH)('$name: a session out of service ignores every packet', (rules) => {
    const session = sessionIn(rules, 'admin_down');
    const before = visible(session);
    for (const received of STATES) {
      expect(session.handleRx(at(1), packet(received, PEER, 0, { desiredMinTxUs: 900_000, requiredMinRxUs: 900_000 }))).toBe(false);
    }
    expect(visible(session)).toEqual(before);
    const foreign = session.core.handleRx(1_000, packet('up', PEER, NOBODY));
    expect(foreign, 'nor is a packet for another session counted as one').toEqual({ kind: 'ignored', why: 'admin_down' });
  });

  it.each(BOTH)('$name: every reason for Down is reported', (rules) => {
    const reasonOf = (session: Session): string => session.snapshot().lastDownReason;
    expect(reasonOf(sessionIn(rules, 'up'))).toBe('none');
    for (const state of ['down', 'init', 'up'] as const) {
      const told = sessionIn(rules, state);
      told.handleRx(settled(told), packet('admin_down', PEER, OURS));
      expect(reasonOf(told), `AdminDown in ${state}`).toBe('remote_admin');
    }
    const down = sessionIn(rules, 'up');
    down.handleRx(settled(down), packet('down', PEER, OURS));
    expect(reasonOf(down)).toBe('remote_down');
    const silent = sessionIn(rules, 'up');
    expect(silent.expireIfDue(at(DETECT))).toBe(true);
    expect(reasonOf(silent)).toBe('timeout');
    expect(reasonOf(sessionIn(rules, 'admin_down'))).toBe('local_admin');
  });

  it('the reference goes from Init to Down with reason remote_down', () => {
    const session = sessionIn(REFERENCE, 'init');
    session.handleRx(settled(session), packet('down', PEER, OURS));
    expect(session.snapshot()).toMatchObject({ state: 'down', lastDownReason: 'remote_down' });
  });

  it.each(BOTH)('$name: a packet for another session is dropped before anything else happens', (rules) => {
    for (const state of ['down', 'init', 'up'] as const) {
      for (const received of STATES) {
        const session = sessionIn(rules, state);
        const before = visible(session);
        const foreign = packet(received, NEW_LIFE, NOBODY, { desiredMinTxUs: 900_000, requiredMinRxUs: 900_000 });
        expect(session.handleRx(settled(session), foreign)).toBe(false);
        expect(visible(session), `${state} hears ${received}`).toEqual(before);
      }
    }
  });

  it.each(BOTH)('$name: a Down left over from the handshake changes nothing, for one detection time', (rules) => {
    const session = sessionIn(rules, 'up');
    const before = visible(session);
    const late = packet('down', NEW_LIFE, OURS, { desiredMinTxUs: 900_000 });
    expect(session.handleRx(at(DETECT - 0.001), late)).toBe(false);
    expect(visible(session)).toEqual(before);
    expect(session.handleRx(at(DETECT), packet('down', PEER, OURS))).toBe(true);
    expect(session.getState()).toBe('down');
  });
});

describe('the rule sets', () => {
  it('are frozen, and the building block uses the reference’s by default', () => {
    expect(BOTH.every((rules) => Object.isFrozen(rules))).toBe(true);
    const session = new Session(options());
    session.handleRx(at(0), packet('down', PEER, 0));
    session.handleRx(at(1), packet('down', PEER, 0));
    expect(session.getState()).toBe('down');
  });

  it('reference: learns the first discriminator, and in Up also another one; never from a Down that takes it Down', () => {
    const init = sessionIn(REFERENCE, 'init');
    init.handleRx(at(1), packet('init', NEW_LIFE, 0));
    expect(peerDiscrOf(init), 'in Init the first one stays').toBe(PEER);

    const up = sessionIn(REFERENCE, 'up');
    up.handleRx(at(1), packet('up', NEW_LIFE, 0));
    expect(peerDiscrOf(up), 'in Up it follows').toBe(NEW_LIFE);

    const ended = sessionIn(REFERENCE, 'up');
    ended.handleRx(settled(ended), packet('down', NEW_LIFE, 0));
    expect([ended.getState(), peerDiscrOf(ended)]).toEqual(['down', PEER]);
    ended.handleRx(settled(ended), packet('down', NEW_LIFE, 0));
    expect(peerDiscrOf(ended), 'this is where it sticks').toBe(PEER);

    const told = sessionIn(REFERENCE, 'up');
    told.handleRx(at(1), packet('admin_down', PEER, OURS));
    expect(peerDiscrOf(told), 'AdminDown clears nothing').toBe(PEER);
  });

  it('robust: learns the discriminator from every accepted packet, but in Up only from one that carries its own', () => {
    for (const received of ['down', 'init', 'up'] as const) {
      for (const state of ['down', 'init'] as const) {
        const session = sessionIn(ROBUST, state);
        session.handleRx(settled(session), packet(received, NEW_LIFE, 0));
        expect(peerDiscrOf(session), `${state} hears ${received}`).toBe(NEW_LIFE);
      }
    }
    const mine = sessionIn(ROBUST, 'up');
    mine.handleRx(at(1), packet('up', NEW_LIFE, OURS));
    expect(peerDiscrOf(mine)).toBe(NEW_LIFE);
    const notMine = sessionIn(ROBUST, 'up');
    notMine.handleRx(at(1), packet('up', NEW_LIFE, 0));
    expect(peerDiscrOf(notMine)).toBe(PEER);
    const ended = sessionIn(ROBUST, 'up');
    ended.handleRx(settled(ended), packet('down', NEW_LIFE, 0));
    expect([ended.getState(), peerDiscrOf(ended)]).toEqual(['down', NEW_LIFE]);
    for (const state of ['down', 'init', 'up'] as const) {
      const told = sessionIn(ROBUST, state);
      told.handleRx(settled(told), packet('admin_down', PEER, 0));
      expect(peerDiscrOf(told), `AdminDown in ${state} clears it`).toBe(0);
    }
  });

  it('robust: forgets the peer after a second detection time of silence; the reference never', () => {
    for (const [rules, remembered] of [
      [REFERENCE, PEER],
      [ROBUST, 0],
    ] as const) {
      const session = sessionIn(rules, 'up');
      session.expireIfDue(at(DETECT));
      expect(session.packet(at(2 * DETECT - 0.001)).peerDiscr, `${rules.name}: not yet`).toBe(PEER);
      expect(session.packet(at(2 * DETECT)).peerDiscr, rules.name).toBe(remembered);
    }
    const told = sessionIn(ROBUST, 'up');
    told.handleRx(at(DETECT), packet('down', PEER, OURS));
    expect(told.packet(at(2 * DETECT - 0.001)).peerDiscr, 'told Down: not yet').toBe(PEER);
    expect(told.packet(at(2 * DETECT)).peerDiscr, 'told Down').toBe(0);
    const heard = sessionIn(ROBUST, 'up');
    heard.expireIfDue(at(DETECT));
    heard.handleRx(at(2 * DETECT - 1), packet('down', PEER, 0));
    expect(heard.packet(at(9 * DETECT)).peerDiscr, 'a peer that was heard is not forgotten').toBe(PEER);
  });

  it('robust: accepts a foreign discriminator in Down without a known peer, as a Down; the reference never', () => {
    for (const received of ['down', 'init', 'up'] as const) {
      const robust = newSession(ROBUST);
      expect(robust.handleRx(at(1), packet(received, PEER, NOBODY))).toBe(true);
      expect([robust.getState(), peerDiscrOf(robust)]).toEqual(['init', PEER]);
      const reference = newSession(REFERENCE);
      expect(reference.handleRx(at(1), packet(received, PEER, NOBODY))).toBe(false);
      expect([reference.getState(), peerDiscrOf(reference)]).toEqual(['down', 0]);
    }
    const farewell = newSession(ROBUST);
    farewell.handleRx(at(1), packet('admin_down', PEER, NOBODY));
    expect(farewell.snapshot(), 'AdminDown has to name us or nobody').toMatchObject({ lastDownReason: 'none' });
    const forgotten = sessionIn(ROBUST, 'up');
    forgotten.expireIfDue(at(DETECT));
    expect(forgotten.handleRx(at(2 * DETECT), packet('up', PEER, NOBODY)), 'a forgotten peer may be somebody new').toBe(true);
    expect(forgotten.getState()).toBe('init');
  });

  it('a Down in Init: the reference goes Down, robust stays in Init', () => {
    for (const [rules, next] of [
      [REFERENCE, 'down'],
      [ROBUST, 'init'],
    ] as const) {
      const session = sessionIn(rules, 'init');
      session.handleRx(at(1), packet('down', PEER, 0));
      expect(session.getState()).toBe(next);
    }
  });

  it('robust: Init lasts 3.3 s of silence at least', () => {
    expect(deadlineOf(sessionIn(REFERENCE, 'init'))).toBe(at(DETECT));
    expect(deadlineOf(sessionIn(ROBUST, 'init'))).toBe(at(3_300));
    expect(deadlineOf(sessionIn(ROBUST, 'init', { detectMult: 40 })), 'a longer detection time counts').toBe(at(4_000));
    expect(deadlineOf(sessionIn(ROBUST, 'up')), 'Up waits for nobody').toBe(at(DETECT));
  });

  it('a slower peer is clamped by the reference, and followed by robust up to 60 s', () => {
    const detectTime = (rules: Rules, desiredMinTxUs: number): [boolean, number] => {
      const session = newSession(rules);
      const changed = session.handleRx(at(0), packet('init', PEER, OURS, { desiredMinTxUs }));
      return [changed, session.snapshot().detectTime];
    };
    expect(detectTime(REFERENCE, 5_000_000)).toEqual([true, 3_000]);
    expect(detectTime(REFERENCE, 0xffff_ffff)).toEqual([true, 3_000]);
    expect(detectTime(ROBUST, 5_000_000)).toEqual([true, 15_000]);
    expect(detectTime(ROBUST, 60_000_000)).toEqual([true, 180_000]);
    expect(detectTime(ROBUST, 60_000_001)).toEqual([false, DETECT]);
  });
});

describe('the timers of a session', () => {
  /** The agreed intervals after a packet with these wishes. */
  function agreed(rules: Rules, txUs: number, rxUs: number, changes: Partial<SessionOptions> = {}): { tx: number; rx: number } {
    const session = newSession(rules, { detectMult: 1, ...changes });
    session.handleRx(at(0), packet('init', PEER, OURS, { desiredMinTxUs: txUs, requiredMinRxUs: rxUs }));
    const { txInterval, detectTime } = session.snapshot();
    return { tx: txInterval, rx: detectTime };
  }

  it.each(BOTH)('$name: the slower of both intervals counts, within floor and ceiling', (rules) => {
    expect(agreed(rules, 100_000, 100_000)).toEqual({ tx: 100, rx: 100 });
    expect(agreed(rules, 200_000, 300_000)).toEqual({ tx: 300, rx: 200 });
    expect(agreed(rules, 60_000, 70_000), 'ours, where it is the slower').toEqual({ tx: 100, rx: 100 });
    expect(agreed(rules, 0, 0, { txMin: 50, rxMin: 50 }), 'not below the floor').toEqual({ tx: 50, rx: 50 });
    expect(agreed(rules, 0, 0xffff_ffff).tx, 'our rate stays below the ceiling').toBe(1_000);
    expect(agreed(rules, 70_001, 70_001, { txMin: 50, rxMin: 50 }), 'whole microseconds').toEqual({ tx: 70.001, rx: 70.001 });
    expect(agreed(rules, 0, 0, { txMin: 60, rxMin: 60, minTxFloor: 60 }), 'the floor is the configured one').toEqual({ tx: 60, rx: 60 });
  });

  it.each(BOTH)(
    '$name: wishes beyond the bounds, which an engine may be given, are clamped where they are used and advertised',
    (rules) => {
      const session = newSession(rules);
      const set = (txMinUs: number, rxMinUs: number): { tx: number; detect: number } => {
        session.core.timers = { txMinUs, rxMinUs, detectMult: 3 };
        const { txInterval, detectTime } = session.snapshot();
        return { tx: txInterval, detect: detectTime };
      };
      expect(set(10, 10)).toEqual({ tx: 50, detect: 150 });
      expect(session.packet(at(0))).toMatchObject({ desiredMinTxUs: 50_000, requiredMinRxUs: 50_000 });
      expect(set(30_000_000, 30_000_000)).toEqual({ tx: 1_000, detect: rules.acceptsSlowerPeers ? 90_000 : 3_000 });
      expect(session.packet(at(0))).toMatchObject({ desiredMinTxUs: 1_000_000, requiredMinRxUs: 1_000_000 });
    },
  );

  it('before the first packet the intervals are our own', () => {
    const { txInterval, detectTime } = newSession(ROBUST, { txMin: 70, rxMin: 90 }).snapshot();
    expect([txInterval, detectTime]).toEqual([70, 270]);
  });

  it('the detection time is our own multiplier times the agreed interval', () => {
    const session = newSession(ROBUST, { detectMult: 5 });
    session.handleRx(at(0), packet('init', PEER, OURS, { detectMult: 9, desiredMinTxUs: 200_000 }));
    expect(session.snapshot().detectTime).toBe(1_000);
    expect(deadlineOf(session)).toBe(at(1_000));
  });

  it('the advertised intervals are the used ones', () => {
    const session = newSession(ROBUST, { txMin: 60, rxMin: 800, detectMult: 7 });
    session.handleRx(at(0), packet('down', PEER, 0));
    expect(session.packet(at(1))).toMatchObject({
      version: 1,
      state: 'init',
      detectMult: 7,
      localDiscr: OURS,
      peerDiscr: PEER,
      desiredMinTxUs: 60_000,
      requiredMinRxUs: 800_000,
      passive: false,
      clientVersion: [0, 0, 0, 0],
    });
  });

  it('the next transmit is one interval away, plus or minus a tenth', () => {
    const { least, most } = extremes(() => sessionIn(ROBUST, 'up'));
    expect(least).toBeCloseTo(90, 9);
    expect(most).toBeCloseTo(110, 9);
  });

  it('towards a peer with multiplier 1 a transmit is a tenth to a quarter early', () => {
    const { least, most } = extremes(() => {
      const session = newSession(ROBUST);
      session.handleRx(at(0), packet('init', PEER, OURS, { detectMult: 1 }));
      return session;
    });
    expect(least).toBeCloseTo(75, 9);
    expect(most).toBeCloseTo(90, 9);
  });

  it('our own multiplier 1 does not make a transmit early', () => {
    const { least, most } = extremes(() => sessionIn(ROBUST, 'up', { detectMult: 1 }));
    expect([least, most].map((gap) => Math.round(gap))).toEqual([90, 110]);
  });

  it('jitter covers its range, with one draw per transmit', () => {
    fc.assert(
      fc.property(fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }), (drawn) => {
        let draws = 0;
        const next = sessionIn(ROBUST, 'up').computeNextTx(at(0), () => {
          draws += 1;
          return drawn;
        });
        expect(draws).toBe(1);
        expect(next - at(0)).toBeGreaterThanOrEqual(90 + 20 * drawn - 0.01);
        expect(next - at(0)).toBeLessThanOrEqual(90 + 20 * drawn + 0.01);
      }),
    );
  });

  it('computeNextTx draws a random number by default', () => {
    const gaps = Array.from({ length: 50 }, () => sessionIn(ROBUST, 'up').computeNextTx(at(0)) - at(0));
    expect(gaps.every((gap) => gap >= 90 && gap <= 110)).toBe(true);
    expect(new Set(gaps).size).toBeGreaterThan(1);
  });

  describe('a session that is Down', () => {
    const middle = (): number => 0.5;
    const gapsOf = (session: Session, count: number): number[] =>
      Array.from({ length: count }, () => Math.round(session.computeNextTx(at(0), middle) - at(0)));

    it('doubles its transmit interval up to the ceiling', () => {
      expect(gapsOf(newSession(ROBUST), 6)).toEqual([100, 200, 400, 800, 1_000, 1_000]);
      expect(gapsOf(newSession(ROBUST, { backoffMax: 60_000 }), 12).at(-1)).toBe(60_000);
      expect(gapsOf(newSession(ROBUST, { backoffMax: 300 }), 4)).toEqual([100, 200, 300, 300]);
    });

    it('never sends faster than the agreed interval because of its backoff', () => {
      expect(gapsOf(newSession(ROBUST, { txMin: 400, backoffMax: 200 }), 3)).toEqual([400, 400, 400]);
    });

    it('never overflows its backoff', () => {
      const gaps = gapsOf(newSession(ROBUST, { backoffMax: 600_000 }), 200);
      expect(gaps.at(-1)).toBe(600_000);
    });

    it('resets its backoff with every transition', () => {
      const session = newSession(ROBUST);
      gapsOf(session, 5);
      session.handleRx(at(0), packet('down', PEER, 0));
      expect(gapsOf(session, 2), 'Init').toEqual([100, 100]);
      session.handleRx(at(0), packet('init', PEER, OURS));
      expect(gapsOf(session, 2), 'Up').toEqual([100, 100]);
      session.expireIfDue(at(DETECT));
      expect(gapsOf(session, 3), 'Down again starts anew').toEqual([100, 200, 400]);
    });

    it.each(BOTH)('$name: resets its backoff with a Down of the peer, too', (rules) => {
      for (const received of ['admin_down', 'down'] as const) {
        const session = sessionIn(rules, 'up');
        session.handleRx(at(DETECT), packet(received, PEER, OURS));
        expect(gapsOf(session, 2)).toEqual([100, 200]);
      }
    });
  });

  it('counts silence from the latest arrival, even if an older one is handled later', () => {
    const session = sessionIn(ROBUST, 'up');
    session.handleRx(at(200), packet('up', PEER, OURS));
    session.handleRx(at(150), packet('up', PEER, OURS));
    expect(deadlineOf(session)).toBe(at(200 + DETECT));
  });
});

describe('detection', () => {
  it.each(BOTH)('$name: a peer that is silent for its detection time is Down with reason timeout, and not sooner', (rules) => {
    const session = sessionIn(rules, 'up');
    expect(session.expireIfDue(at(DETECT - 0.001))).toBe(false);
    expect(session.getState()).toBe('up');
    expect(session.expireIfDue(at(DETECT))).toBe(true);
    expect(session.snapshot()).toMatchObject({ state: 'down', lastDownReason: 'timeout', detectDeadline: undefined });
    expect(session.expireIfDue(at(9 * DETECT)), 'once').toBe(false);
  });

  it('takes Init Down, too', () => {
    const session = sessionIn(REFERENCE, 'init');
    expect(session.expireIfDue(at(DETECT))).toBe(true);
    expect(session.snapshot()).toMatchObject({ state: 'down', lastDownReason: 'timeout' });
  });

  it('never expires before the first packet', () => {
    const session = newSession(ROBUST);
    expect(session.armDetect(at(0))).toBeUndefined();
    expect(session.expireIfDue(at(1_000_000))).toBe(false);
  });

  it.each(['down', 'admin_down'] as const)('has no deadline in %s', (state) => {
    expect(sessionIn(ROBUST, state).armDetect(at(20_000))).toBeUndefined();
  });

  it.each(['init', 'up'] as const)('armDetect in %s returns the deadline, and keeps one in the future', (state) => {
    const session = sessionIn(REFERENCE, state);
    expect(session.armDetect(at(10))).toBe(at(DETECT));
    expect(session.armDetect(at(DETECT - 0.001))).toBe(at(DETECT));
    expect(session.snapshot().detectDeadline).toBeInstanceOf(Date);
  });

  it.each(['init', 'up'] as const)('armDetect in %s renews a deadline that has passed, to one detection time from now', (state) => {
    const session = sessionIn(REFERENCE, state);
    expect(session.armDetect(at(DETECT))).toBe(at(2 * DETECT));
    expect(session.armDetect(at(5_000))).toBe(at(5_000 + DETECT));
    expect(session.expireIfDue(at(5_000)), 'what was armed anew is not due').toBe(false);
    expect(session.getState()).toBe(state);
  });
});

describe('a snapshot', () => {
  beforeEach(() => {
    vi.useFakeTimers({ toFake: ['Date', 'hrtime'], now: 1_700_000_000_000 });
  });
  afterEach(() => {
    vi.useRealTimers();
  });

  const dateOf = (now: number): Date => new Date(Math.round(1_700_000_000_000 + now - monotonicNow()));

  it('of a new session has undefined for everything that has not happened', () => {
    const session = newSession(ROBUST, { route: undefined });
    const now = dateOf(monotonicNow());
    expect(session.snapshot()).toEqual({
      peer: HERE,
      state: 'down',
      localDiscr: OURS,
      peerDiscr: 0,
      convUpStart: undefined,
      convDownStart: undefined,
      upSince: undefined,
      downSince: now,
      lastUp: undefined,
      lastDown: now,
      lastDownReason: 'none',
      detectDeadline: undefined,
      nextDetectScheduled: undefined,
      lastUpdated: now,
      everUp: false,
      flaps: 0,
      worstGap: undefined,
      detectTime: DETECT,
      txInterval: INTERVAL,
      peerMode: undefined,
      peerVersion: undefined,
      route: undefined,
    });
  });

  it.each(BOTH)('counts how often it left Up, and has the longest gap between packets since it came Up: $name', (rules) => {
    const session = sessionIn(rules, 'init');
    const seen = () => {
      const { everUp, flaps, worstGap } = session.snapshot();
      return [everUp, flaps, worstGap];
    };
    expect(seen()).toEqual([false, 0, undefined]);
    let now = at(DETECT);
    session.handleRx(now, packet('up', PEER, OURS));
    expect(seen(), 'the wait for the Up itself is no gap of it').toEqual([true, 0, 0]);
    for (const [gap, worst] of [
      [99, 99],
      [150.001, 151],
      [120, 151],
    ] as const) {
      now += gap;
      session.handleRx(now, packet('up', PEER, OURS));
      expect(seen()).toEqual([true, 0, worst]);
    }
    now += DETECT;
    session.expireIfDue(now);
    expect(seen()).toEqual([true, 1, 151]);
    for (const state of ['down', 'up'] as const) {
      now += 400;
      session.handleRx(now, packet(state, PEER, OURS));
    }
    expect([session.getState(), ...seen()]).toEqual(['up', true, 1, 0]);
  });

  it('has dates of the wall clock', () => {
    const route = { table: 254, dst: '10.9.0.7/32', src: '10.0.0.1', nextHop: '10.0.0.2', protocol: 186 };
    const session = newSession(ROBUST, { route });
    const newer = { passive: true, clientVersion: [1, 2, 3, 3] as const };
    session.handleRx(at(7), packet('admin_down', PEER, 0));
    expect(session.snapshot().convUpStart, 'AdminDown is no beginning').toBeUndefined();
    session.handleRx(at(10), packet('down', PEER, 0));
    expect(session.snapshot(), 'Init is neither').toMatchObject({ state: 'init', upSince: undefined, downSince: undefined });
    session.handleRx(at(20), packet('init', PEER, OURS, newer));
    expect(session.snapshot()).toMatchObject({
      route,
      state: 'up',
      peerDiscr: PEER,
      convUpStart: dateOf(at(10)),
      upSince: dateOf(at(20)),
      downSince: undefined,
      lastUp: dateOf(at(20)),
      lastUpdated: dateOf(at(20)),
      detectDeadline: dateOf(at(20 + DETECT)),
      nextDetectScheduled: dateOf(at(20 + DETECT)),
      peerMode: 'passive',
      peerVersion: '1.2.3-rc',
    });
    session.expireIfDue(at(20 + DETECT + 5));
    expect(session.snapshot()).toMatchObject({
      state: 'down',
      convUpStart: undefined,
      convDownStart: dateOf(at(20 + INTERVAL)),
      downSince: dateOf(at(20 + DETECT + 5)),
      lastDown: dateOf(at(20 + DETECT + 5)),
      upSince: undefined,
      lastUp: dateOf(at(20)),
    });
  });

  it('after a Down of the peer counts convergence from that packet, until the session is Up again', () => {
    const session = sessionIn(ROBUST, 'up');
    session.handleRx(at(DETECT), packet('down', PEER, OURS));
    expect(session.snapshot().convDownStart).toEqual(dateOf(at(DETECT)));
    session.handleRx(at(DETECT + 1), packet('down', PEER, 0));
    session.handleRx(at(DETECT + 2), packet('init', PEER, OURS));
    expect(session.snapshot()).toMatchObject({ convDownStart: undefined, convUpStart: dateOf(at(DETECT + 1)) });
  });

  it('is a copy', () => {
    const session = newSession(ROBUST);
    const before = session.snapshot();
    session.handleRx(at(0), packet('init', PEER, OURS));
    expect(before.state).toBe('down');
  });
});

describe('new Session', () => {
  const issuesOf = (given: unknown): readonly string[] => {
    try {
      new Session(given as SessionOptions);
    } catch (error) {
      expect(error).toBeInstanceOf(ConfigError);
      expect(error).toMatchObject({ code: 'ERR_CONFIG' });
      return (error as ConfigError).issues.map((issue) => issue.path);
    }
    throw new Error('it was accepted');
  };

  it('with several faults throws all of them', () => {
    const peer = { iface: 'a/b', localIP: '::1', peerIP: '224.0.0.1' };
    const wrong = { peer, txMin: 0, rxMin: '100', detectMult: 256, port: 0, localDiscr: 0, minTxFloor: -1, backoffMax: 600_001, bogus: 1 };
    expect([...issuesOf({ ...wrong, route: {}, rules: {} })].sort()).toEqual(
      ['peer.iface', 'peer.localIP', 'peer.peerIP', ...Object.keys(wrong).filter((name) => name !== 'peer'), 'route', 'rules'].sort(),
    );
  });

  it.each([undefined, null, 7, 'session', []])('with %s instead of options throws', (nonsense) => {
    expect(issuesOf(nonsense).length).toBeGreaterThan(0);
  });

  it.each([
    ['txMin below the floor', { txMin: 49.9 }, ['txMin']],
    ['rxMin above the ceiling', { rxMin: 1_000.1 }, ['rxMin']],
    ['a floor above the ceiling', { minTxFloor: 2_000 }, ['minTxFloor']],
    ['a backoff below the floor', { backoffMax: 49 }, ['backoffMax']],
    ['a discriminator beyond 32 bits', { localDiscr: 2 ** 32 }, ['localDiscr']],
    ['a fraction for a multiplier', { detectMult: 2.5 }, ['detectMult']],
    ['a time that is none', { txMin: Number.NaN }, ['txMin']],
    ['rules of its own making', { rules: { ...ROBUST, name: 'mine' } }, ['rules']],
    ['half of a rule set', { rules: { staysInitOnDown: true } }, ['rules']],
    ['a peer without an address', { peer: { iface: 'eth0', localIP: '10.0.0.1' } }, ['peer.peerIP']],
    ['an unspecified peer', { peer: { ...HERE, peerIP: '0.0.0.0' } }, ['peer.peerIP']],
  ])('with %s throws', (_, changes, paths) => {
    expect(issuesOf({ ...options(), ...changes })).toEqual(paths);
  });

  it('without a required field throws', () => {
    expect(issuesOf({})).toEqual(['peer', 'txMin', 'rxMin', 'detectMult']);
  });

  it('with undefined for optional fields does not throw', () => {
    const nothing = Object.fromEntries(
      ['port', 'localDiscr', 'minTxFloor', 'maxTxCeil', 'backoffMax', 'route', 'rules'].map((it) => [it, undefined]),
    );
    const session = new Session({ ...options(), ...nothing });
    expect(session.port).toBe(44880);
    expect(session.snapshot().localDiscr).toBeGreaterThan(0);
  });

  it('refuses an invalid time or packet later, and is not changed', () => {
    const session = sessionIn(ROBUST, 'up');
    const before = visible(session);
    const good = packet('down', PEER, OURS);
    for (const now of [Number.NaN, Number.POSITIVE_INFINITY, '5', undefined] as number[]) {
      expect(() => session.handleRx(now, good)).toThrow(expect.objectContaining({ code: 'ERR_CONFIG' }));
      expect(() => session.expireIfDue(now)).toThrow(expect.objectContaining({ code: 'ERR_CONFIG' }));
      expect(() => session.armDetect(now)).toThrow(expect.objectContaining({ code: 'ERR_CONFIG' }));
      expect(() => session.computeNextTx(now)).toThrow(expect.objectContaining({ code: 'ERR_CONFIG' }));
      expect(() => session.packet(now)).toThrow(expect.objectContaining({ code: 'ERR_CONFIG' }));
    }
    for (const nonsense of [undefined, null, {}, good.marshal()] as unknown as ControlPacket[]) {
      expect(() => session.handleRx(at(1), nonsense)).toThrow(expect.objectContaining({ code: 'ERR_INVALID_PACKET' }));
    }
    expect(visible(session)).toEqual(before);
  });

  it('chooses a discriminator that is not zero and differs each time', () => {
    const drawn = Array.from({ length: 100 }, () => new Session({ ...options(), localDiscr: undefined }).snapshot().localDiscr);
    expect(drawn.every((discr) => discr > 0 && discr <= 0xffff_ffff)).toBe(true);
    expect(new Set(drawn).size).toBe(100);
  });
});

describe('no sequence of packets, silences and transmits', () => {
  /** What the state table allows after one packet, whatever else the packet says. */
  const ALLOWED: Record<Exclude<State, 'admin_down'>, Record<State, readonly State[]>> = {
    down: { admin_down: ['down'], down: ['init', 'down'], init: ['init', 'up', 'down'], up: ['init', 'up', 'down'] },
    init: { admin_down: ['down', 'init'], down: ['init', 'down'], init: ['init', 'up'], up: ['init', 'up'] },
    up: { admin_down: ['down', 'up'], down: ['down', 'up'], init: ['up'], up: ['up'] },
  };
  const discr = fc.constantFrom(0, OURS, PEER, NEW_LIFE, NOBODY);
  const us = fc.oneof(fc.constantFrom(0, 50_000, 100_000, 60_000_000, 60_000_001, 0xffff_ffff), fc.nat(2_000_000));
  const heard = fc.record({
    kind: fc.constant('packet' as const),
    state: fc.constantFrom(...STATES),
    localDiscr: discr,
    peerDiscr: discr,
    detectMult: fc.integer({ min: 1, max: 255 }),
    desiredMinTxUs: us,
    requiredMinRxUs: us,
  });
  const step = fc.oneof(
    { weight: 4, arbitrary: heard },
    { weight: 1, arbitrary: fc.record({ kind: fc.constantFrom('transmit' as const, 'expire' as const, 'arm' as const) }) },
  );
  const life = fc.array(fc.tuple(fc.nat(700), step), { maxLength: 60 });

  it.each(BOTH)('$name: leads out of the state table, or leaves a deadline where none belongs', (rules) => {
    fc.assert(
      fc.property(life, (steps) => {
        const session = newSession(rules);
        let now = at(0);
        for (const [wait, what] of steps) {
          now += wait;
          const before = session.getState() as Exclude<State, 'admin_down'>;
          if (what.kind === 'packet') {
            const changed = session.handleRx(now, packet(what.state, what.localDiscr, what.peerDiscr, what));
            const after = session.getState();
            expect(ALLOWED[before][what.state]).toContain(after);
            expect(changed).toBe(after !== before);
            if (after === 'up' && changed) expect(what.peerDiscr, 'Up only by a packet that knows us').toBe(OURS);
          } else if (what.kind === 'expire') {
            const deadline = deadlineOf(session);
            const expired = session.expireIfDue(now);
            expect(expired).toBe(deadline !== undefined && deadline <= now);
            expect(session.getState()).toBe(expired ? 'down' : before);
          } else if (what.kind === 'arm') {
            const deadline = session.armDetect(now);
            if (deadline !== undefined) expect(deadline).toBeGreaterThan(now);
          } else {
            const next = session.computeNextTx(now);
            const { txInterval } = session.snapshot();
            expect(next - now).toBeGreaterThanOrEqual(0.749 * txInterval);
            expect(next - now).toBeLessThanOrEqual(1.101 * Math.max(txInterval, 1_000));
          }
          const { state, detectDeadline, txInterval, detectTime } = session.snapshot();
          expect(detectDeadline !== undefined).toBe(state === 'init' || state === 'up');
          expect(txInterval).toBeGreaterThanOrEqual(50);
          expect(txInterval).toBeLessThanOrEqual(1_000);
          expect(detectTime).toBeLessThanOrEqual(3 * (rules.acceptsSlowerPeers ? 60_000 : 1_000));
          session.packet(now);
        }
      }),
      { numRuns: 300 },
    );
  });
});
