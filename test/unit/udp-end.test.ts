/** A transport of the user's that dies is a fault of the engine: nothing is watched any more, and whoever can hear of it does. */
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';

import { describe, expect, it } from 'vitest';

import { listenUDP, newUDPService } from '../../ts/protocol.js';
import { Manager, MemoryRoutes, type UDPService } from '../../ts/index.js';
import { FakeUDP, newLog } from './fake-udp.js';

const ROUTE = { table: 254, dst: '127.0.0.2/32', src: '127.0.0.1', nextHop: '127.0.0.2', protocol: 186 };

async function startOver(udp: UDPService) {
  const config = { netlinker: new MemoryRoutes(), bindIP: '127.0.0.1', txMin: 50, rxMin: 50, detectMult: 3, udp, engine: 'js' as const };
  const log = newLog();
  const manager = await Manager.start({ ...config, logger: log.logger });
  const errors: Error[] = [];
  manager.on('error', (error) => errors.push(error));
  return { manager, errors, log };
}

const coded = (code: string): Error => Object.assign(new Error(`read ${code}`), { code });

describe('a transport of the user that breaks', () => {
  it.each(['EBADF', 'ENOTSOCK', 'ENODEV', 'ERR_CLOSED', 'ERR_SOCKET_DGRAM_NOT_RUNNING'])(
    'with %s when it is read stops the engine: an error event, once, and `closed` rejects with the same',
    async (code) => {
      const udp = new FakeUDP();
      const { manager, errors } = await startOver(udp);
      udp.failReads(coded(code));
      const reason: unknown = await manager.closed.catch((error: unknown) => error);
      expect(reason).toMatchObject({ code, cause: { code } });
      await manager.close();
      expect(errors).toEqual([reason]);
      const reads = udp.reads;
      await delay(30);
      expect(udp.reads, 'nobody reads on').toBe(reads);
    },
  );

  it.each(['EBADF', 'ERR_CLOSED'])('with %s on a write stops the engine, too', async (code) => {
    const udp = new FakeUDP();
    udp.writeTo = () => Promise.reject(coded(code));
    const { manager, errors } = await startOver(udp);
    await manager.registerRoute(ROUTE, 'lo');
    await expect(manager.closed).rejects.toMatchObject({ code });
    expect(errors).toHaveLength(1);
  });

  it('underneath, also one of this package, stops the engine', async () => {
    const listening = await listenUDP('127.0.0.1', 0);
    const socket = createSocket('udp4').bind(0, '127.0.0.1');
    await once(socket, 'listening');
    const wrapped = newUDPService(socket);
    for (const [udp, end] of [
      [listening, () => void listening.close()],
      [wrapped, () => socket.close()],
    ] as const) {
      const { manager, errors } = await startOver(udp);
      end();
      await expect(manager.closed).rejects.toMatchObject({ code: 'ERR_CLOSED' });
      expect(errors).toHaveLength(1);
    }
  });

  it('because the manager closes it is no engine failure', async () => {
    const { manager, errors } = await startOver(await listenUDP('127.0.0.1', 0));
    await manager.close();
    await manager.closed;
    expect(errors).toEqual([]);
  });

  it('temporarily is read again, with a count and a warning once in five seconds', async () => {
    const udp = new FakeUDP();
    const { manager, errors, log } = await startOver(udp);
    udp.failReads(coded('ECONNREFUSED'), coded('ECONNREFUSED'), coded('ECONNREFUSED'));
    while (manager.stats().readErrors < 3) await delay(5);
    expect(errors).toEqual([]);
    expect(log.of('warn').filter(({ fields }) => fields['code'] === 'ECONNREFUSED')).toHaveLength(1);
    await manager.close();
  });
});
