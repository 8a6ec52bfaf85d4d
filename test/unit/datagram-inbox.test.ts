/** Datagrams that nobody reads are kept up to a bound; what is dropped beyond it is counted. */
import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';

import { expect, it } from 'vitest';

import { listenUDP, newUDPService, type UDPService } from '../../ts/protocol.js';
import { Manager, MemoryRoutes } from '../../ts/index.js';
import { FakeUDP } from './fake-udp.js';

/** The bound and a tenth of it more. */
const SENT = 4_500;

async function flood(udp: UDPService): Promise<void> {
  const { port = 0 } = udp.localAddr() ?? {};
  const sender = createSocket('udp4');
  for (let sent = 0; sent < SENT; sent += 100) {
    await Promise.all(Array.from({ length: 100 }, () => new Promise((resolve) => sender.send('x', port, '127.0.0.1', resolve))));
    await delay(2);
  }
  sender.close();
}

async function bound(): Promise<Socket> {
  const socket = createSocket('udp4').bind(0, '127.0.0.1');
  await once(socket, 'listening');
  return socket;
}

it.each(['listenUDP', 'newUDPService'])('a transport of %s counts the datagrams that it drops when too many are unread', async (kind) => {
  const udp = kind === 'listenUDP' ? await listenUDP('127.0.0.1', 0) : newUDPService(await bound());
  expect(udp.dropped).toBe(0);
  await flood(udp);
  while ((udp.dropped ?? 0) === 0) await flood(udp);
  let read = 0;
  udp.setReadDeadline(0);
  while (
    await udp.readFrom().then(
      () => true,
      () => false,
    )
  )
    read += 1;
  expect(read, 'up to the bound they are kept').toBe(4_096);
  await udp.close();
});

it('the manager shows the drops that a transport of the user counts', async () => {
  const udp = Object.assign(new FakeUDP(), { dropped: 7 });
  const config = { netlinker: new MemoryRoutes(), bindIP: '127.0.0.1', txMin: 50, rxMin: 50, detectMult: 3, udp, engine: 'js' as const };
  const manager = await Manager.start(config);
  expect(manager.stats().socketDrops).toBe(7);
  await manager.close();
});
