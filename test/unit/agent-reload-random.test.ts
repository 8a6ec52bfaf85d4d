/** Whatever files follow each other, after a reload the agent has what the last one says, and the routes of the API. */
import fc from 'fast-check';
import { expect, it } from 'vitest';

import type { RoutesAnswer, SessionsAnswer } from '../../ts/agent/control-api.js';
import { fileWith, routeBody, TestAgent } from './agent-helpers.js';

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

/** The routes of the API, by the numbers of their peers. Their slots are not those of any file. */
type ApiPeers = readonly number[];

const apiDestination = (index: number): string => `127.0.7.${index}/32`;

/** Whether the file has the session with a peer. */
const isInFile = ({ slots, alone }: Content, peer: number): boolean => alone[peer] === true || slots.some((route) => route?.[0] === peer);

/** The detection times of the sessions: a session that the file no longer has keeps its own. */
function timesAfter(content: Content, before: readonly number[]): number[] {
  return PEERS.map((peer) => (isInFile(content, peer) ? DETECT_TIMES[content.timers[peer] ?? 'default'] : (before[peer] ?? 0)));
}

/** What the agent is to show: destination, protocol, peer and detection time of routes; peer and detection time of sessions. */
function expectedOf(content: Content, api: ApiPeers, times: readonly number[]): { routes: unknown[]; sessions: unknown[] } {
  const routes = content.slots.flatMap((route, slot) =>
    route === null ? [] : [[destination(slot), route[1], peerIP(route[0]), times[route[0]]]],
  );
  const ofApi = api.map((peer, index) => [apiDestination(index), 186, peerIP(peer), times[peer]]);
  const used = PEERS.filter((peer) => isInFile(content, peer) || api.includes(peer));
  return { routes: [...routes, ...ofApi].sort(), sessions: used.map((peer) => [peerIP(peer), times[peer]]).sort() };
}

const bodiesOf = (api: ApiPeers): unknown[] => {
  return api.map((peer, index) => routeBody(0, { dst: apiDestination(index), next_hop: peerIP(peer), peer_ip: peerIP(peer) }));
};

async function shownBy(agent: TestAgent): Promise<{ routes: unknown[]; sessions: unknown[] }> {
  const { routes } = (await agent.ask('/routes')).json as RoutesAnswer;
  const { sessions } = (await agent.ask('/sessions')).json as SessionsAnswer;
  return {
    routes: routes.map(({ dst, route_protocol, peer_ip, detect_time_ms }) => [dst, route_protocol, peer_ip, detect_time_ms]).sort(),
    sessions: sessions.map(({ peer_ip, detect_time_ms }) => [peer_ip, detect_time_ms]).sort(),
  };
}

it('reloads of one file after another lead to what the last one says, and leave the routes of the API', async () => {
  const files = fc.array(content, { minLength: 2, maxLength: 6 });
  const api = fc.array(fc.constantFrom(...PEERS), { maxLength: 3 });
  await fc.assert(
    fc.asyncProperty(files, api, async ([first, ...others], peers) => {
      const agent = await TestAgent.start(fileOf(first as Content));
      if (peers.length > 0) expect((await agent.post('/routes', bodiesOf(peers))).status).toBe(200);
      let times = timesAfter(
        first as Content,
        PEERS.map(() => DETECT_TIMES.default),
      );
      for (const next of others) {
        times = timesAfter(next, times);
        agent.rewrite(fileOf(next));
        await agent.agent.reload();
        expect(await shownBy(agent)).toEqual(expectedOf(next, peers, times));
      }
      await agent.agent.close();
    }),
    { numRuns: 40 },
  );
});
