/** UDP transports on loopback: one suite for `newUDPService` over a real socket and for `listenUDP`, and what each has of its own. */
import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';

import { afterEach, describe, expect, it } from 'vitest';

import { type Datagram, listenUDP, monotonicNow, newUDPService, type UDPService } from '../../ts/protocol.js';
import { hasInterface } from '../../ts/base/host-interfaces.js';

const closing: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0)) await close();
});

function kept(service: UDPService): UDPService {
  closing.push(() => service.close());
  return service;
}

async function boundSocket(address = '127.0.0.1'): Promise<Socket> {
  const socket = createSocket('udp4');
  socket.bind(0, address);
  await once(socket, 'listening');
  return socket;
}

function addressOf(service: UDPService): { address: string; port: number } {
  const bound = service.localAddr();
  if (bound === undefined) throw new Error('the transport is closed');
  return { address: bound.address, port: bound.port };
}

const openers: [string, (address?: string) => Promise<UDPService>][] = [
  ['newUDPService', async (address) => kept(newUDPService(await boundSocket(address)))],
  ['listenUDP', async (address = '127.0.0.1') => kept(await listenUDP(address, 0))],
];

describe.each(openers)('a transport of %s', (_, open) => {
  const hello = Buffer.from('hello');

  it('reads what another one writes, with both addresses, the interface and the arrival', async () => {
    const [one, other] = [await open(), await open()];
    const before = monotonicNow();
    expect(await one.writeTo(hello, addressOf(other))).toBe(5);
    const read = await other.readFrom();
    const after = monotonicNow();
    expect(Buffer.from(read.data).toString()).toBe('hello');
    expect(read).toMatchObject({ remote: addressOf(one), localIP: '127.0.0.1', iface: 'lo' });
    expect(read.arrival).toBeGreaterThanOrEqual(before - 0.1);
    expect(read.arrival).toBeLessThanOrEqual(after + 0.1);
  });

  it('keeps datagrams until they are read, in their order, each with its own bytes', async () => {
    const [one, other] = [await open(), await open()];
    for (let index = 0; index < 100; index++) await one.writeTo(Buffer.from([index, index]), addressOf(other));
    const arrivals: number[] = [];
    for (let index = 0; index < 100; index++) {
      const { data, arrival } = await other.readFrom();
      expect([...data]).toEqual([index, index]);
      arrivals.push(arrival);
    }
    expect(arrivals).toEqual([...arrivals].sort((a, b) => a - b));
  });

  it('serves reads in the order of the calls', async () => {
    const [one, other] = [await open(), await open()];
    const reads = [other.readFrom(), other.readFrom()];
    await one.writeTo(Buffer.from('1'), addressOf(other));
    await one.writeTo(Buffer.from('2'), addressOf(other));
    expect((await Promise.all(reads)).map(({ data }) => Buffer.from(data).toString())).toEqual(['1', '2']);
  });

  it('writes with its own interface and source address', async () => {
    const [one, other] = [await open(), await open()];
    expect(await one.writeTo(hello, addressOf(other), 'lo', '127.0.0.1')).toBe(5);
    expect(await one.writeTo(hello, addressOf(other), '')).toBe(5);
    expect(await other.readFrom()).toMatchObject({ remote: addressOf(one) });
  });

  it('rejects a read with ETIMEDOUT at its deadline, and a new deadline counts from then', async () => {
    const service = await open();
    service.setReadDeadline(monotonicNow() + 20);
    await expect(service.readFrom()).rejects.toMatchObject({ code: 'ETIMEDOUT' });
    await expect(service.readFrom(), 'it has passed').rejects.toMatchObject({ code: 'ETIMEDOUT' });
    service.setReadDeadline(undefined);
    const reading = service.readFrom();
    await service.writeTo(hello, addressOf(service));
    await expect(reading).resolves.toMatchObject({ localIP: '127.0.0.1' });
  });

  it('ends a waiting read with a new deadline in the past', async () => {
    const service = await open();
    const reading = service.readFrom();
    service.setReadDeadline(monotonicNow() - 1);
    await expect(reading).rejects.toMatchObject({ code: 'ETIMEDOUT' });
  });

  it('accepts a deadline beyond the range of a timer', async () => {
    const service = await open();
    service.setReadDeadline(monotonicNow() + 2 ** 40);
    const reading = service.readFrom();
    await new Promise((resolve) => setTimeout(resolve, 20));
    await service.writeTo(hello, addressOf(service));
    await expect(reading).resolves.toBeDefined();
  });

  it.each([Number.NaN, Number.POSITIVE_INFINITY, '5', null])('refuses %s as a deadline', async (deadline) => {
    const service = await open();
    expect(() => service.setReadDeadline(deadline as number)).toThrow(expect.objectContaining({ code: 'ERR_CONFIG' }));
  });

  it('rejects waiting and later reads when it is closed', async () => {
    const service = await open();
    const to = addressOf(service);
    const reading = service.readFrom();
    const ended = expect(reading).rejects.toMatchObject({ code: 'ERR_CLOSED' });
    await service.close();
    await ended;
    await expect(service.readFrom()).rejects.toMatchObject({ code: 'ERR_CLOSED' });
    await expect(service.writeTo(hello, to)).rejects.toMatchObject({ code: 'ERR_CLOSED' });
    expect(service.localAddr()).toBeUndefined();
    service.setReadDeadline(undefined);
    await service.close();
  });

  it('can be closed twice at once', async () => {
    const service = await open();
    await Promise.all([service.close(), service.close()]);
    expect(service.localAddr()).toBeUndefined();
  });

  it.each([
    ['an IPv6 destination', { address: '::1', port: 1 }, 'ERR_INVALID_ADDRESS'],
    ['a name for a destination', { address: 'localhost', port: 1 }, 'ERR_INVALID_ADDRESS'],
    ['port 0', { address: '127.0.0.1', port: 0 }, 'ERR_INVALID_ADDRESS'],
    ['a port beyond 16 bits', { address: '127.0.0.1', port: 65_536 }, 'ERR_INVALID_ADDRESS'],
    ['a port that is text', { address: '127.0.0.1', port: '1' }, 'ERR_INVALID_ADDRESS'],
    ['no destination', undefined, 'ERR_INVALID_ADDRESS'],
    ['null', null, 'ERR_INVALID_ADDRESS'],
  ])('rejects a write to %s', async (__, to, code) => {
    const service = await open();
    await expect(service.writeTo(hello, to as { address: string; port: number })).rejects.toMatchObject({ code });
  });

  it.each([['nosuchif0'], ['.'], ['..'], ['lo/'], ['../net/lo'], ['a-name-that-is-too-long']])(
    'rejects a write over the interface %j',
    async (iface) => {
      const service = await open();
      await expect(service.writeTo(hello, addressOf(service), iface)).rejects.toMatchObject({ code: 'ERR_NO_SUCH_INTERFACE' });
    },
  );

  it('rejects a write of something other than bytes, or from an invalid address', async () => {
    const service = await open();
    const to = addressOf(service);
    for (const bytes of ['hello', undefined, [1, 2], new ArrayBuffer(3)]) {
      await expect(service.writeTo(bytes as unknown as Uint8Array, to)).rejects.toMatchObject({ code: 'ERR_INVALID_PACKET' });
    }
    for (const src of ['::1', 'localhost', 7 as unknown as string]) {
      await expect(service.writeTo(hello, to, 'lo', src)).rejects.toMatchObject({ code: 'ERR_INVALID_ADDRESS' });
    }
  });

  it('rejects a write that the system refuses with the system’s code, and continues', async () => {
    const service = await open();
    await expect(service.writeTo(new Uint8Array(70_000), addressOf(service))).rejects.toMatchObject({ code: 'EMSGSIZE' });
    expect(await service.writeTo(hello, addressOf(service))).toBe(5);
  });
});

describe('newUDPService', () => {
  it.each(['0.0.0.0'])('refuses a socket that is bound to %s, since Node does not report destinations', async (address) => {
    const socket = await boundSocket(address);
    closing.push(() => socket.close());
    expect(() => newUDPService(socket)).toThrow(expect.objectContaining({ code: 'ERR_INVALID_ADDRESS' }));
  });

  it('refuses a socket that is unbound, closed, of IPv6, or no socket', async () => {
    const unbound = createSocket('udp4');
    const six = createSocket('udp6');
    six.bind(0, '::1');
    await once(six, 'listening');
    closing.push(
      () => unbound.close(),
      () => six.close(),
    );
    const closed = await boundSocket();
    closed.close();
    for (const socket of [unbound, six, closed, undefined, {}]) {
      expect(() => newUDPService(socket as Socket)).toThrow(expect.objectContaining({ code: 'ERR_INVALID_ADDRESS' }));
    }
  });

  it('refuses a source address other than the socket’s', async () => {
    const service = kept(newUDPService(await boundSocket()));
    await expect(service.writeTo(Buffer.from('x'), addressOf(service), 'lo', '127.0.0.2')).rejects.toMatchObject({
      code: 'ERR_INVALID_ADDRESS',
    });
  });

  it('ends when its owner closes the socket', async () => {
    const socket = await boundSocket();
    const service = newUDPService(socket);
    const to = addressOf(service);
    const ended = expect(service.readFrom()).rejects.toMatchObject({ code: 'ERR_CLOSED' });
    socket.close();
    expect(service.localAddr()).toBeUndefined();
    await ended;
    await expect(service.writeTo(Buffer.from('x'), to)).rejects.toMatchObject({ code: 'ERR_CLOSED' });
    await service.close();
  });

  it('can be closed right after its owner has closed the socket', async () => {
    const socket = await boundSocket();
    const service = newUDPService(socket);
    socket.close();
    await service.close();
    expect(service.localAddr()).toBeUndefined();
  });

  it('rejects the waiting read, or the next one, with an error of the socket', async () => {
    const socket = await boundSocket();
    const service = kept(newUDPService(socket));
    const failure = (): Error => Object.assign(new Error('refused'), { code: 'ECONNREFUSED' });
    const waiting = expect(service.readFrom()).rejects.toMatchObject({ code: 'ECONNREFUSED' });
    socket.emit('error', failure());
    await waiting;
    socket.emit('error', failure());
    await expect(service.readFrom()).rejects.toMatchObject({ code: 'ECONNREFUSED' });
    const reading = service.readFrom();
    await service.writeTo(Buffer.from('x'), addressOf(service));
    await expect(reading, 'once').resolves.toBeDefined();
  });
});

describe('listenUDP', () => {
  it('on all addresses reports the destination of each datagram, and can answer from there', async () => {
    const service = kept(await listenUDP('0.0.0.0', 0));
    const { port } = addressOf(service);
    const peer = kept(newUDPService(await boundSocket('127.0.0.9')));
    await peer.writeTo(Buffer.from('to 5'), { address: '127.0.0.5', port });
    const read: Datagram = await service.readFrom();
    expect(read).toMatchObject({ localIP: '127.0.0.5', iface: 'lo', remote: addressOf(peer) });
    await service.writeTo(Buffer.from('from 5'), read.remote, read.iface, read.localIP);
    expect(await peer.readFrom()).toMatchObject({ remote: { address: '127.0.0.5', port } });
  });

  it('uses the given source address', async () => {
    const service = kept(await listenUDP('0.0.0.0', 0));
    const peer = kept(newUDPService(await boundSocket()));
    for (const src of ['127.0.0.1', '127.0.0.77']) {
      await service.writeTo(Buffer.from('x'), addressOf(peer), 'lo', src);
      expect((await peer.readFrom()).remote.address).toBe(src);
    }
    await expect(service.writeTo(Buffer.from('x'), addressOf(peer), 'lo', '192.0.2.1')).rejects.toHaveProperty('code');
  });

  it('reports the arrival in the kernel, however late the datagram is read', async () => {
    const service = kept(await listenUDP('127.0.0.1', 0));
    const before = monotonicNow();
    await service.writeTo(Buffer.from('x'), addressOf(service));
    const sent = monotonicNow();
    // The event loop stands still.
    while (monotonicNow() < sent + 100);
    const { arrival } = await service.readFrom();
    expect(arrival).toBeGreaterThanOrEqual(before - 1);
    expect(arrival).toBeLessThan(sent + 50);
  });

  it('binds the given port, once', async () => {
    const first = kept(await listenUDP('127.0.0.1', 0));
    const { port } = addressOf(first);
    await expect(listenUDP('127.0.0.1', port)).rejects.toMatchObject({ code: 'EADDRINUSE' });
    await first.close();
    const second = kept(await listenUDP('127.0.0.1', port));
    expect(addressOf(second).port).toBe(port);
  });

  it.each([
    ['::1', 0, 'ERR_INVALID_ADDRESS'],
    ['localhost', 0, 'ERR_INVALID_ADDRESS'],
    [undefined, 0, 'ERR_INVALID_ADDRESS'],
    ['127.0.0.1', -1, 'ERR_INVALID_ADDRESS'],
    ['127.0.0.1', 65_536, 'ERR_INVALID_ADDRESS'],
    ['127.0.0.1', 1.5, 'ERR_INVALID_ADDRESS'],
    ['127.0.0.1', '80', 'ERR_INVALID_ADDRESS'],
    ['192.0.2.1', 0, 'EADDRNOTAVAIL'],
  ])('rejects %s:%s with %s', async (address, port, code) => {
    await expect(listenUDP(address as string, port as number)).rejects.toMatchObject({ code });
  });
});

describe('the name of an interface', () => {
  it('is that of an interface of the host, and no path', () => {
    expect(hasInterface('lo')).toBe(true);
    expect(['.', '..', '', 'lo/', '../net/lo', 'nosuchif0'].filter(hasInterface)).toEqual([]);
  });
});
