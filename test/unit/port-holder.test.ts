/** Who holds a port: asked of the system, against processes of our own. */
import { type ChildProcess, spawn } from 'node:child_process';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { networkInterfaces } from 'node:os';

import { afterEach, describe, expect, it } from 'vitest';

import { portHolders } from '../../ts/base/port-holder.js';
import { Manager, MemoryRoutes } from '../../ts/index.js';
import { explained } from '../../ts/manager/bind-failure.js';
import { startFake } from './fake-engine.js';

const HAS_IPV6 = Object.values(networkInterfaces())
  .flat()
  .some((it) => it?.address === '::1');

/** Binds a socket, and writes its port. */
const PROGRAM = `
  const [type, address, ipv6Only] = process.argv.slice(1);
  const socket = require('node:dgram').createSocket({ type, ipv6Only: ipv6Only === 'true' });
  socket.bind(0, address, () => console.log(socket.address().port));
`;

const children: ChildProcess[] = [];

afterEach(() => {
  for (const child of children.splice(0)) child.kill('SIGKILL');
});

/** Starts a process that holds a port. */
async function holder(type: 'udp4' | 'udp6', address: string, ipv6Only = false): Promise<{ pid: number; port: number }> {
  const child = spawn(process.execPath, ['-e', PROGRAM, type, address, String(ipv6Only)], { stdio: ['ignore', 'pipe', 'inherit'] });
  children.push(child);
  const [line] = (await once(child.stdout, 'data')) as [Buffer];
  return { pid: child.pid ?? 0, port: Number(line.toString()) };
}

const pidsOn = async (address: string, port: number): Promise<number[]> => (await portHolders(address, port)).map(({ pid }) => pid);

describe('the holder of a port', () => {
  it('on one IPv4 address is found for that address and for all, by its number and name', async () => {
    const { pid, port } = await holder('udp4', '127.0.0.1');
    const [found] = await portHolders('127.0.0.1', port);
    expect(found?.pid).toBe(pid);
    expect(found?.name, 'the name of the thread that started').toMatch(/^(node|MainThread)/);
    expect(await pidsOn('0.0.0.0', port)).toEqual([pid]);
    expect(await pidsOn('127.0.0.2', port), 'another address is free').toEqual([]);
    expect(await pidsOn('127.0.0.1', port === 65_535 ? 1 : port + 1), 'another port is free').not.toContain(pid);
  });

  it('on all IPv4 addresses is found for each of them', async () => {
    const { pid, port } = await holder('udp4', '0.0.0.0');
    expect(await pidsOn('127.0.0.1', port)).toEqual([pid]);
  });

  it.skipIf(!HAS_IPV6)('on an IPv6 address is found for that address and for all', async () => {
    const { pid, port } = await holder('udp6', '::1');
    expect(await pidsOn('::1', port)).toEqual([pid]);
    expect(await pidsOn('::', port)).toEqual([pid]);
    expect(await pidsOn('2001:db8::1', port)).toEqual([]);
  });

  it.skipIf(!HAS_IPV6)('on all addresses of both families is found for those of IPv4', async () => {
    const { pid, port } = await holder('udp6', '::');
    expect(await pidsOn('127.0.0.1', port)).toEqual([pid]);
  });

  it('is this process where it has the socket itself', async () => {
    const socket = createSocket('udp4').bind(0, '127.0.0.1');
    await once(socket, 'listening');
    const { port } = socket.address();
    expect(await pidsOn('127.0.0.1', port)).toEqual([process.pid]);
    socket.close();
    const error = Object.assign(new Error('taken'), { code: 'EADDRINUSE' });
    const unknown = await explained(error, ['127.0.0.1'], port);
    expect(unknown, 'nobody holds it any more').toMatchObject({
      code: 'EADDRINUSE',
      message: `taken; the system does not tell this process who holds UDP port ${port}: \`ss -ulnp 'sport = :${port}'\` as root does`,
      cause: error,
    });
  });
});

describe('a manager whose port is held by another process', () => {
  it.each(['native', 'js'] as const)('is refused with the name and the number of the process, on the %s engine', async (engine) => {
    const { pid, port } = await holder('udp4', '127.0.0.1');
    const config = { netlinker: new MemoryRoutes(), bindIP: '127.0.0.1', port, txMin: 50, rxMin: 50, detectMult: 3, engine };
    const refused = Manager.start(config);
    await expect(refused).rejects.toMatchObject({ code: 'EADDRINUSE' });
    await expect(refused).rejects.toThrow(new RegExp(`UDP port ${port} is held by \\S+ \\(process ${pid}\\)$`));
  });

  it('for multihop sessions refuses such a session with the process, and other sessions start', async () => {
    const { pid, port } = await holder('udp4', '127.0.0.1');
    const { manager, engine } = await startFake({ protocol: 'bfd', bindIP: '127.0.0.1', multihopPort: port });
    engine.multihopError = Object.assign(new Error('cannot open the multihop sockets'), { code: 'EADDRINUSE' });
    const peer = { iface: 'lo', localIP: '127.0.0.1', peerIP: '127.0.0.2' };
    const error = { code: 'EADDRINUSE', message: expect.stringContaining(`(process ${pid})`) as string };
    await expect(manager.registerSession(peer, { multihop: true })).rejects.toMatchObject(error);
    const route = { table: 254, dst: '127.0.0.2/32', src: '127.0.0.1', nextHop: '127.0.0.2', protocol: 186 };
    await expect(manager.registerRoute(route, 'lo', { multihop: true })).rejects.toMatchObject(error);
    await expect(manager.registerRoutes([{ route, iface: 'lo', multihop: true }])).rejects.toMatchObject({
      issues: [{ index: 0, ...error }],
    });
    expect(manager.getSessions()).toEqual([]);
    await manager.registerSession(peer);
  });
});

it('an error of another kind is passed on as it is', async () => {
  const error = Object.assign(new Error('no such address'), { code: 'EADDRNOTAVAIL' });
  expect(await explained(error, ['127.0.0.1'], 1)).toBe(error);
});
