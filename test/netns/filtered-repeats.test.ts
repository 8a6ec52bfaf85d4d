/** Two agents whose kernels take in repeats: sessions come Up, stay Up, and go Down as they do without a filter. */
import { afterEach, beforeEach, expect, it } from 'vitest';

import { Agent, type LogLine, pause } from './agent.js';
import { type Addressing, describeLab, type Host, Lab } from './lab.js';

const CONFIG = { txMin: 100, rxMin: 100, detectMult: 3, filterRepeats: true };
/** So long a test looks on. */
const HELD_S = 3;

for (const protocol of ['liveness', 'bfd'] as const) {
  for (const addressing of ['IPv4', 'IPv6'] satisfies Addressing[]) {
    describeLab(`${protocol} over ${addressing} with a filter of repeats`, ['setpriv'], () => {
      let lab: Lab;

      beforeEach(() => {
        lab = new Lab({ addressing });
      });

      afterEach(() => {
        lab.close();
      });

      const register = async (agent: Agent, here: Host, there: Host, options = {}): Promise<void> => {
        await agent.call('registerSession', { iface: here.iface, localIP: here.address, peerIP: there.address }, options);
      };

      const start = async (changes: Record<string, unknown> = {}, wrapper: readonly string[] = []): Promise<[Agent, Agent]> => {
        const [one, two] = [new Agent(lab, lab.one, wrapper), new Agent(lab, lab.two)];
        const bindIP = addressing === 'IPv4' ? '0.0.0.0' : '::';
        await Promise.all([one, two].map((each) => each.call('start', { protocol, bindIP, ...CONFIG, ...changes })));
        await Promise.all([register(one, lab.one, lab.two), register(two, lab.two, lab.one)]);
        await isUp(one, two);
        return [one, two];
      };

      const stateOf = async (agent: Agent): Promise<string | undefined> => (await agent.sessions())[0]?.state;

      const isUp = async (...agents: Agent[]): Promise<void> => {
        for (const agent of agents) await expect.poll(async () => stateOf(agent), { timeout: 10_000 }).toBe('up');
      };

      /** Packets that the filter took in, packets that were received, and what the kernel dropped. */
      const counts = async (agent: Agent): Promise<readonly [filtered: number, received: number, dropped: number]> => {
        // It counts what the filter has taken in.
        await agent.sessions();
        const { endpoints, repeatsFiltered, socketDrops } = await agent.stats();
        return [repeatsFiltered, endpoints.reduce((sum, { rx }) => sum + rx, 0), socketDrops];
      };

      it('stays Up while nearly all packets are taken in, and counts them as received and not as dropped', async () => {
        const [one, two] = await start();
        await pause(1_000);
        const events = [one, two].map((agent) => agent.events.length);
        const before = await counts(one);
        await pause(HELD_S * 1_000);
        const after = await counts(one);
        const [filtered, received] = [after[0] - before[0], after[1] - before[1]];
        expect(filtered).toBeGreaterThan(0);
        expect(Math.abs(received - filtered), `${received} packets, ${filtered} repeats`).toBeLessThanOrEqual(3);
        expect(after[2]).toBe(0);
        expect([one, two].map((agent, at) => agent.events.slice(events[at]))).toEqual([[], []]);
      });

      it('goes Down a detection time after the last repeat, and Up again when packets come', async () => {
        const [one, two] = await start();
        await pause(500);
        two.signal('SIGSTOP');
        await expect.poll(async () => stateOf(one), { timeout: 10_000 }).toBe('down');
        const down = one.events.find(({ from, to }) => from === 'up' && to === 'down');
        expect(down).toMatchObject({ reason: 'timeout' });
        expect(down?.silence).toBeGreaterThanOrEqual(CONFIG.detectMult * CONFIG.txMin);
        two.signal('SIGCONT');
        await isUp(one, two);
      });

      it('follows timers that change while it is Up, and hears an AdminDown', async () => {
        const [one, two] = await start();
        const from = [one, two].map((agent) => agent.events.length);
        await register(two, lab.two, lab.one, { txMin: 200, rxMin: 200, detectMult: 5 });
        // Whose multiplier counts is the protocol's to say.
        const detectTime = (protocol === 'bfd' ? 5 : CONFIG.detectMult) * 200;
        await expect.poll(async () => (await one.sessions())[0], { timeout: 10_000 }).toMatchObject({ state: 'up', detectTime });
        await pause(1_000);
        expect([one, two].map((agent, at) => agent.events.slice(from[at]))).toEqual([[], []]);
        await two.call('close', { adminDown: true });
        await expect.poll(async () => stateOf(one), { timeout: 10_000 }).toBe('down');
        expect(one.events.at(-1)).toMatchObject({ to: 'down', reason: 'remote_admin' });
      });

      it('works in a time namespace, whose clock is another one', async () => {
        const [one, two] = await start({}, ['unshare', '--time', '--monotonic', '1000000', '--fork', '--kill-child', '--']);
        await pause(HELD_S * 1_000);
        expect((await one.stats()).repeatsFiltered).toBeGreaterThan(0);
        expect([await stateOf(one), await stateOf(two)]).toEqual(['up', 'up']);
        expect(one.events.filter(({ from }) => from === 'up')).toEqual([]);
        two.signal('SIGSTOP');
        await expect.poll(async () => stateOf(one), { timeout: 10_000 }).toBe('down');
        two.signal('SIGCONT');
      });

      it('works without the privilege to have a filter, and says so', async () => {
        const without = ['setpriv', '--bounding-set', '-sys_admin,-bpf', '--inh-caps', '-sys_admin,-bpf', '--'];
        const [one] = await start({}, without);
        await pause(1_000);
        expect(await stateOf(one)).toBe('up');
        expect((await one.stats()).repeatsFiltered).toBe(0);
        const log = await one.call<LogLine[]>('logged');
        expect(log.filter(({ message }) => message.includes('filterRepeats'))).toHaveLength(1);
      });
    });
  }
}
