/** What a BFD session sends on a real link: from a port of its own, with the hop limit that RFC 5881 §5 asks for. */
import { afterEach, beforeEach, expect, it } from 'vitest';

import { Agent } from './agent.js';
import { run } from './command.js';
import { type Addressing, describeLab, Lab } from './lab.js';

const SESSIONS = 3;
const PACKETS = 40;
const CONFIG = { protocol: 'bfd', txMin: 50, rxMin: 50, detectMult: 3 };
const PRIVILEGES: readonly (readonly [string, readonly string[]])[] = [
  ['with CAP_NET_RAW', []],
  ['without CAP_NET_RAW', ['setpriv', '--bounding-set', '-net_raw', '--inh-caps', '-net_raw', '--']],
];

for (const addressing of ['IPv4', 'IPv6'] satisfies Addressing[]) {
  describeLab(`BFD sessions over ${addressing}`, ['tcpdump', 'setpriv'], () => {
    let lab: Lab;

    beforeEach(() => {
      lab = new Lab({ addressing });
    });

    afterEach(() => {
      lab.close();
    });

    /** The sessions' peers are addresses of one host, which answers for all of them. */
    const peers = (): string[] =>
      Array.from({ length: SESSIONS }, (_, index) => (addressing === 'IPv4' ? `10.201.0.${20 + index}` : `2001:db8:201::${20 + index}`));

    const start = async (wrapper: readonly string[]): Promise<Agent> => {
      const bits = addressing === 'IPv4' ? 24 : 64;
      const agent = new Agent(lab, lab.one, wrapper);
      const other = new Agent(lab, lab.two);
      const any = addressing === 'IPv4' ? '0.0.0.0' : '::';
      await Promise.all([agent, other].map((each) => each.call('start', { ...CONFIG, bindIP: any })));
      for (const peer of peers()) {
        run('ip', [
          '-n',
          lab.two.name,
          'addr',
          'add',
          `${peer}/${bits}`,
          'dev',
          lab.two.iface,
          ...(addressing === 'IPv6' ? ['nodad'] : []),
        ]);
        await other.call('registerSession', { iface: lab.two.iface, localIP: peer, peerIP: lab.one.address }, {});
        await agent.call('registerSession', { iface: lab.one.iface, localIP: lab.one.address, peerIP: peer }, {});
      }
      return agent;
    };

    it.each(PRIVILEGES)('come Up and send each from a port of its own, with TTL 255, %s', async (_, wrapper) => {
      const agent = await start(wrapper);
      await expect
        .poll(async () => (await agent.sessions()).map(({ state }) => state), { timeout: 10_000 })
        .toEqual(Array(SESSIONS).fill('up'));

      const sent = `src ${lab.one.address} and udp dst port 3784`;
      const seen = run('ip', ['netns', 'exec', lab.two.name, 'tcpdump', '-c', `${PACKETS}`, '-v', '-n', '-i', lab.two.iface, sent]);
      const limits = [...seen.matchAll(/ttl (\d+)|hlim (\d+)/g)].map(([, ttl, hops]) => Number(ttl ?? hops));
      expect(limits).toEqual(Array(PACKETS).fill(255));
      const pairs = [...seen.matchAll(/\.(\d+) > (\S+)\.3784:/g)].map(([, port, peer]) => `${peer ?? ''} from ${port ?? ''}`);
      expect(pairs).toHaveLength(PACKETS);
      const ports = [...new Set(pairs)].map((pair) => Number(pair.split(' from ')[1]));
      expect(new Set(ports).size, [...new Set(pairs)].join(', ')).toBe(SESSIONS);
      expect(ports, 'one for each session, which stays').toHaveLength(SESSIONS);
      expect(Math.min(...ports)).toBeGreaterThanOrEqual(49_152);
    });
  });
}
