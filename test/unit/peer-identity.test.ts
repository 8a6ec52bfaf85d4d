/** What each engine says of itself in bytes 20 to 24, and what is known of a peer before it has said anything. */
import { describe, expect, it } from 'vitest';

import { listenUDP } from '../../ts/protocol.js';
import { Manager, type ManagerConfig, MemoryRoutes } from '../../ts/index.js';

const ROUTE = { table: 254, dst: '127.0.0.9/32', src: '127.0.0.1', nextHop: '127.0.0.9', protocol: 186 };

async function firstPacket(config: Partial<ManagerConfig>): Promise<number[]> {
  const peer = await listenUDP('127.0.0.9', 0);
  const manager = await Manager.start({
    netlinker: new MemoryRoutes(),
    bindIP: '127.0.0.1',
    port: 0,
    txMin: 50,
    rxMin: 50,
    detectMult: 3,
    ...config,
  });
  try {
    await manager.registerRoute(ROUTE, 'lo', { port: peer.localAddr()?.port });
    expect(manager.getSessions()).toMatchObject([{ peerMode: undefined, peerVersion: undefined }]);
    const { data } = await peer.readFrom();
    return [...data.subarray(20, 25)];
  } finally {
    await manager.close();
    await peer.close();
  }
}

describe.each(['native', 'js'] as const)('the %s engine', (engine) => {
  it.each<[string, Partial<ManagerConfig>, number[]]>([
    ['says nothing of itself by default', {}, [0, 0, 0, 0, 0]],
    ['says that it is passive, without a version', { passiveMode: true }, [1, 0, 0, 0, 0]],
    ['says its version', { clientVersion: '1.2.3-rc1' }, [0, 1, 2, 3, 3]],
    ['says both', { passiveMode: true, clientVersion: '1.2.3' }, [1, 1, 2, 3, 0]],
  ])('%s', async (_, config, bytes) => {
    expect(await firstPacket({ engine, ...config })).toEqual(bytes);
  });
});
