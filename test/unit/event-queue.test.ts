/** The queues of what is due, held against a sorted list. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import { EventQueue, type QueuedEvent, ROBUST, type Session } from '../../ts/protocol.js';
import { Deadline, DeadlineQueue, type Due } from '../../ts/protocol/deadline-queue.js';
import { HERE, newSession } from './session-helpers.js';

/** Times that are often equal. */
const time = fc.oneof(fc.nat(8), fc.double({ min: 0, max: 20, noNaN: true }));
const due = fc.constantFrom<Due>('tx', 'detect');

describe('an event queue', () => {
  const SCOPES = [
    { iface: 'eth0', localIP: '10.0.0.1' },
    { iface: 'eth0', localIP: '10.0.0.2' },
    { iface: 'eth1', localIP: '10.0.0.1' },
  ] as const;
  const SESSIONS = SCOPES.map((endpoint) => newSession(ROBUST, { peer: { ...HERE, ...endpoint } }));

  type Step = { op: 'push'; at: number; kind: Due; who: number } | { op: 'pop' } | { op: 'popIfDue'; now: number };
  const steps = fc.array(
    fc.oneof(
      { weight: 3, arbitrary: fc.record({ op: fc.constant('push' as const), at: time, kind: due, who: fc.nat(2) }) },
      { weight: 1, arbitrary: fc.record({ op: fc.constant('pop' as const) }) },
      { weight: 2, arbitrary: fc.record({ op: fc.constant('popIfDue' as const), now: time }) },
    ),
    { maxLength: 200 },
  );

  it('agrees with a sorted list under random pushes and pops', () => {
    fc.assert(
      fc.property(steps, (life: Step[]) => {
        const queue = new EventQueue();
        const list: QueuedEvent[] = [];
        for (const step of life) {
          if (step.op === 'push') {
            const event = { at: step.at, kind: step.kind, session: SESSIONS[step.who] as Session };
            queue.push(event);
            // Behind all that are not later: of equal times the first that was put in comes first.
            const place = list.findIndex((other) => other.at > event.at);
            list.splice(place === -1 ? list.length : place, 0, event);
          } else if (step.op === 'pop') {
            expect(queue.pop()).toEqual(list.shift());
          } else {
            const first = list[0];
            if (first === undefined) expect(queue.popIfDue(step.now)).toEqual({ wait: undefined });
            else if (first.at > step.now) expect(queue.popIfDue(step.now)).toEqual({ wait: first.at - step.now });
            else expect(queue.popIfDue(step.now)).toEqual({ event: list.shift() });
          }
          expect(queue.length).toBe(list.length);
          for (const { iface, localIP } of SCOPES) {
            const counted = list.filter(({ session: { peer } }) => peer.iface === iface && peer.localIP === localIP).length;
            expect(queue.countFor(iface, localIP)).toBe(counted);
          }
        }
        while (list.length > 0) expect(queue.pop()).toEqual(list.shift());
        expect(queue.pop()).toBeUndefined();
      }),
    );
  });

  it('returns an event exactly at its time, and before that the wait until then', () => {
    const queue = new EventQueue();
    const session = newSession(ROBUST);
    queue.push({ at: 100, kind: 'detect', session });
    expect(queue.popIfDue(99.5)).toEqual({ wait: 0.5 });
    expect(queue.length).toBe(1);
    expect(queue.popIfDue(100)).toEqual({ event: { at: 100, kind: 'detect', session } });
    expect(queue.popIfDue(100)).toEqual({ wait: undefined });
  });

  it('keeps its order if the user changes a pushed event', () => {
    const queue = new EventQueue();
    const session = newSession(ROBUST);
    const event = { at: 1, kind: 'tx' as Due, session };
    queue.push(event);
    queue.push({ at: 2, kind: 'detect', session });
    event.at = 3;
    expect([queue.pop()?.at, queue.pop()?.at]).toEqual([1, 2]);
  });

  it('counts 0 for an endpoint without events', () => {
    expect(new EventQueue().countFor('eth9', '10.0.0.1')).toBe(0);
  });

  it.each([
    ['nothing', undefined, 'at'],
    ['null', null, 'at'],
    ['a number', 7, 'at'],
    ['no time', { kind: 'tx', session: newSession(ROBUST) }, 'at'],
    ['an infinite time', { at: Number.POSITIVE_INFINITY, kind: 'tx', session: newSession(ROBUST) }, 'at'],
    ['not a number', { at: Number.NaN, kind: 'tx', session: newSession(ROBUST) }, 'at'],
    ['another kind', { at: 1, kind: 'rx', session: newSession(ROBUST) }, 'kind'],
    ['no session', { at: 1, kind: 'tx' }, 'session'],
    ['what looks like a session', { at: 1, kind: 'tx', session: { peer: HERE } }, 'session'],
  ])('refuses %s, names the field, and is not changed', (_, event, field) => {
    const queue = new EventQueue();
    const refusal: unknown = expect.objectContaining({ code: 'ERR_CONFIG', message: expect.stringContaining(`\`${field}\``) as string });
    expect(() => queue.push(event as QueuedEvent)).toThrow(refusal);
    expect(queue.length).toBe(0);
  });

  it.each([undefined, null, '5', Number.NaN])('popIfDue refuses %s as a time', (now) => {
    const queue = new EventQueue();
    queue.push({ at: 1, kind: 'tx', session: newSession(ROBUST) });
    expect(() => queue.popIfDue(now as number)).toThrow(expect.objectContaining({ code: 'ERR_CONFIG' }));
    expect(queue.length).toBe(1);
  });
});

describe('a deadline queue', () => {
  type Step = { op: 'set'; who: number; due: Due; at: number } | { op: 'remove'; who: number; due: Due } | { op: 'pop'; now: number };
  const steps = fc.array(
    fc.oneof(
      { weight: 4, arbitrary: fc.record({ op: fc.constant('set' as const), who: fc.nat(9), due, at: time }) },
      { weight: 1, arbitrary: fc.record({ op: fc.constant('remove' as const), who: fc.nat(9), due }) },
      { weight: 2, arbitrary: fc.record({ op: fc.constant('pop' as const), now: time }) },
    ),
    { maxLength: 300 },
  );

  it('agrees with a sorted list: one entry per owner and kind, moved in place, equal times in the order of setting', () => {
    fc.assert(
      fc.property(steps, (life: Step[]) => {
        const deadlines = Array.from({ length: 10 }, (_, who) => ({ tx: new Deadline(who, 'tx'), detect: new Deadline(who, 'detect') }));
        const deadlineOf = ({ who, due }: { who: number; due: Due }): Deadline<number> => (deadlines[who] as (typeof deadlines)[0])[due];
        const queue = new DeadlineQueue<number>();
        const list: { at: number; who: number; due: Due }[] = [];
        const find = (who: number, kind: Due): number => list.findIndex((entry) => entry.who === who && entry.due === kind);
        for (const step of life) {
          if (step.op === 'set') {
            const known = find(step.who, step.due);
            if (known !== -1) list.splice(known, 1);
            const place = list.findIndex((other) => other.at > step.at);
            list.splice(place === -1 ? list.length : place, 0, { at: step.at, who: step.who, due: step.due });
            expect(queue.set(deadlineOf(step), step.at)).toBe(known === -1);
          } else if (step.op === 'remove') {
            const known = find(step.who, step.due);
            if (known !== -1) list.splice(known, 1);
            expect(queue.remove(deadlineOf(step))).toBe(known !== -1);
          } else {
            const first = list[0] !== undefined && list[0].at <= step.now ? list.shift() : undefined;
            const popped = queue.popIfDue(step.now);
            expect(popped === undefined ? undefined : { who: popped.owner, due: popped.due }).toEqual(
              first === undefined ? undefined : { who: first.who, due: first.due },
            );
          }
          expect(queue.length).toBe(list.length);
          expect(queue.peek()).toBe(list[0]?.at);
        }
      }),
      { numRuns: 300 },
    );
  });
});
