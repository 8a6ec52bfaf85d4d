/** Forged packets of BFD: a packet that crossed a router is not from the neighbour of a single-hop session (RFC 5881 §5, RFC 5082). */
import { afterEach, beforeEach, expect, it } from 'vitest';

import type { SessionSnapshot } from '../../ts/index.js';
import { BfdPacket } from '../../ts/protocol/bfd/packet.js';
import { type Agent, pause, startPair } from './agent.js';
import { run } from './command.js';
import { type Addressing, describeLab, Lab } from './lab.js';

const SENT = 5;

/** Sends a packet to the port of single-hop sessions, several times, from any other port. */
const SENDER = `
  const [packet, to, from, ttl, count] = process.argv.slice(1);
  const socket = require('node:dgram').createSocket(to.includes(':') ? 'udp6' : 'udp4');
  socket.bind(0, from, async () => {
    socket.setTTL(Number(ttl));
    for (let sent = 0; sent < Number(count); sent += 1) {
      await new Promise((resolve) => socket.send(Buffer.from(packet, 'hex'), 3784, to, resolve));
    }
    socket.close();
  });
`;

for (const addressing of ['IPv4', 'IPv6'] satisfies Addressing[]) {
  describeLab(`a BFD session over ${addressing}`, ['nft'], () => {
    let lab: Lab;
    let agents: [Agent, Agent];

    beforeEach(async () => {
      lab = new Lab({ addressing });
      agents = await startPair(lab, () => ({ protocol: 'bfd' }));
    });

    afterEach(() => {
      lab.close();
    });

    const session = async (): Promise<SessionSnapshot> => {
      const [only] = await agents[0].call<SessionSnapshot[]>('sessions');
      if (only === undefined) throw new Error('there is no session');
      return only;
    };
    const badTtl = async (): Promise<number> => {
      const { endpoints } = await agents[0].stats();
      return endpoints.reduce((sum, { rxInvalid }) => sum + rxInvalid.bad_ttl, 0);
    };
    /** The peer's host sends what its session could have sent, but for the TTL. */
    const forge = (ttl: number, { peerDiscr, localDiscr }: { peerDiscr: number; localDiscr: number }): void => {
      const packet = new BfdPacket({
        ...{ state: 'admin_down', diagnostic: 'administratively_down', detectMult: 3 },
        ...{ localDiscr: peerDiscr, peerDiscr: localDiscr, desiredMinTxUs: 1_000_000, requiredMinRxUs: 1_000_000 },
      });
      const hex = Buffer.from(packet.marshal()).toString('hex');
      const { one, two } = lab;
      run('ip', ['netns', 'exec', two.name, process.execPath, '-e', SENDER, hex, one.address, two.address, `${ttl}`, `${SENT}`]);
    };

    it('counts packets with TTL 254 as bad_ttl and changes nothing, whether they name its discriminator or none', async () => {
      // The peer's own interval, which the forged packets do not say, has been agreed.
      await expect.poll(session, { timeout: 10_000 }).toMatchObject({ remoteTxMin: 50, polling: false });
      const before = await session();
      const mark = agents[0].events.length;
      forge(254, before);
      // A packet that names no discriminator of ours finds the session by its addresses (RFC 5880 §6.8.6).
      forge(254, { ...before, localDiscr: 0 });
      await expect.poll(badTtl, { timeout: 10_000 }).toBe(2 * SENT);
      await pause(200);
      expect(agents[0].changes(mark)).toEqual([]);
      const { state, peerDiscr, remoteDiag, remoteTxMin } = await session();
      expect({ state, peerDiscr, remoteDiag, remoteTxMin }).toEqual({
        ...{ state: 'up', peerDiscr: before.peerDiscr, remoteDiag: before.remoteDiag, remoteTxMin: before.remoteTxMin },
      });
    });

    it('goes by the same packets with TTL 255', async () => {
      const mark = agents[0].events.length;
      forge(255, await session());
      expect(await agents[0].state('down', mark)).toMatchObject({ reason: 'remote_admin' });
      expect(await badTtl()).toBe(0);
    });
  });
}
