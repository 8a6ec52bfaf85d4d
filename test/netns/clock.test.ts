/**
 * The wall clock of this machine is stepped by an hour, for less than a second each way: everything that runs on it sees that,
 * so it is done only where CLOCK_STEP=1 asks for it (`vitest.config.ts`).
 */
import { afterEach, beforeAll, beforeEach, expect, it } from 'vitest';

import { pause, startPair } from './agent.js';
import { BUILD_PATIENCE_MS, buildExamples, Example } from './example.js';
import { describeLab, Lab } from './lab.js';

const HOUR_MS = 3_600_000;
const FOR_MS = 400;

describeLab('the wall clock', [], () => {
  let lab: Lab;

  beforeAll(() => {
    buildExamples('step');
  }, BUILD_PATIENCE_MS);

  beforeEach(() => {
    lab = new Lab();
  });

  afterEach(() => {
    lab.close();
  });

  it.each([HOUR_MS, -HOUR_MS])(
    'stepped by %i ms and back changes no session, and no packet that waits in the socket meanwhile counts as late',
    async (byMs) => {
      const agents = await startPair(lab, () => ({ txMin: 100, rxMin: 100, detectMult: 10 }));
      const [one] = agents;
      const marks = agents.map((agent) => agent.events.length);
      const stepped = async (example: Example, isStepped: boolean): Promise<void> => {
        // This process reads nothing; the clock is stepped meanwhile.
        one.signal('SIGSTOP');
        try {
          await pause(isStepped ? 150 : 0);
          expect(await example.read()).toEqual({ stepped: isStepped });
        } finally {
          one.signal('SIGCONT');
        }
      };
      const began = performance.now();
      const wall = Date.now() - began;
      const example = new Example(lab, lab.one, 'step', { byMs, forMs: FOR_MS });
      await stepped(example, true);
      expect(Math.abs(Date.now() - performance.now() - wall - byMs), 'the clock was stepped').toBeLessThan(1_000);
      await pause(FOR_MS - 250);
      await stepped(example, false);
      await example.end();
      await pause(1_000);
      expect(Math.abs(Date.now() - performance.now() - wall), 'and back').toBeLessThan(1_000);
      agents.forEach((agent, index) => expect(agent.changes(marks[index] ?? 0)).toEqual([]));
      for (const agent of agents) expect(await agent.sessions()).toMatchObject([{ state: 'up' }]);
    },
  );
});
