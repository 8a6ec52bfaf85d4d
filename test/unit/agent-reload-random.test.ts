/** Whatever files follow each other, after a reload the agent has what the last one says. */
import fc from 'fast-check';
import { expect, it } from 'vitest';

import type { RoutesAnswer, SessionsAnswer } from '../../ts/agent/control-api.js';
import { fileWith, TestAgent } from './agent-helpers.js';

const SLOTS = [0, 1, 2, 3];
const PEERS = [0, 1, 2];
const DETECT_TIMES = { default: 300, slow: 1_500 } as const;

/** What a file says. Of each slot: its peer and protocol; of each peer: its timers, and whether it has a session by itself. */
interface Content {
  readonly slots: readonly (readonly [peer: number, protocol: number] | null)[];
  readonly timers: readonly (keyof typeof DETECT_TIMES)[];
  readonly alone: readonly boolean[];
}

const content: fc.Arbitrary<Content> = fc.record({
  slots: fc.tuple(...SLOTS.map(() => fc.option(fc.tuple(fc.constantFrom(...PEERS), fc.constantFrom(186, 187))))),
  timers: fc.tuple(...PEERS.map(() => fc.constantFrom('default' as const, 'slow' as const))),
  alone: fc.tuple(...PEERS.map(() => fc.boolean())),
});

const peerIP = (peer: number | undefined): string => `127.0.8.${(peer ?? 0) + 1}`;
const destination = (slot: number): string => `127.0.9.${slot}/32`;

function fileOf({ slots, timers, alone }: Content): string {
  const routes = slots.flatMap((route, slot) => {
    if (route === null) return [];
    const [peer, protocol] = route;
    const fields = `dst: ${destination(slot)}, nextHop: ${peerIP(peer)}, src: 127.0.0.1, peerIP: ${peerIP(peer)}, protocol: ${protocol}`;
    return [`      - { iface: lo, ${fields}, timers: ${timers[peer]} }`];
  });
  const sessions = PEERS.filter((peer) => alone[peer]).map((peer) => {
    return `      - { iface: lo, localIP: 127.0.0.1, peerIP: ${peerIP(peer)}, timers: ${timers[peer]} }`;
  });
  return fileWith(`    routes:\n${routes.join('\n')}\n    sessions:\n${sessions.join('\n')}`);
}

/** What the agent is to show of a file: destination, protocol, peer and detection time of routes; peer and detection time of sessions. */
function expectedOf({ slots, timers, alone }: Content): { routes: unknown[]; sessions: unknown[] } {
  const timeOf = (peer: number): number => DETECT_TIMES[timers[peer] ?? 'default'];
  const routes = slots.flatMap((route, slot) =>
    route === null ? [] : [[destination(slot), route[1], peerIP(route[0]), timeOf(route[0])]],
  );
  const used = PEERS.filter((peer) => alone[peer] === true || slots.some((route) => route?.[0] === peer));
  return { routes: routes.sort(), sessions: used.map((peer) => [peerIP(peer), timeOf(peer)]).sort() };
}

async function shownBy(agent: TestAgent): Promise<{ routes: unknown[]; sessions: unknown[] }> {
  const { routes } = (await agent.ask('/routes')).json as RoutesAnswer;
  const { sessions } = (await agent.ask('/sessions')).json as SessionsAnswer;
  return {
    routes: routes.map(({ dst, route_protocol, peer_ip, detect_time_ms }) => [dst, route_protocol, peer_ip, detect_time_ms]).sort(),
    sessions: sessions.map(({ peer_ip, detect_time_ms }) => [peer_ip, detect_time_ms]).sort(),
  };
}

it('reloads of one file after another lead to what the last one says', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(content, { minLength: 2, maxLength: 6 }), async ([first, ...others]) => {
      const agent = await TestAgent.start(fileOf(first as Content));
      for (const next of others) {
        agent.rewrite(fileOf(next));
        await agent.agent.reload();
        expect(await shownBy(agent)).toEqual(expectedOf(next));
      }
      await agent.agent.close();
    }),
    { numRuns: 40 },
  );
});
