/** The share of a send buffer that packets of sessions which are Down may take, over a list of sockets that a test writes. */
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { endianness, platform } from 'node:os';

import { describe, expect, it } from 'vitest';

import { sendBufferFor, SendBufferShare, sendBufferToAskFor, usedBy } from '../../ts/engine/js/send-buffer.js';

const KILOBYTE = 1_024;

/** As Linux writes it: proc(5). */
function list(used: number): string {
  const local = endianness() === 'LE' ? '0200000A' : '0A000002';
  const queues = `${used.toString(16).toUpperCase().padStart(8, '0')}:00000000`;
  return [
    '   sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops',
    `  100: 00000000:AF50 00000000:0000 07 00FFFFFF:00000000 00:00000000 00000000     0        0 1 2 0 0`,
    `  101: ${local}:AF50 00000000:0000 07 ${queues} 00:00000000 00000000     0        0 2 2 0 0`,
    '',
  ].join('\n');
}

describe('the share of the send buffer for Down sessions', () => {
  it('is half, and the use is read again when the share could be used up, at most every 20 ms', () => {
    let used = 0;
    let looks = 0;
    const share = new SendBufferShare(() => {
      looks += 1;
      return list(used);
    });
    const take = (now: number): boolean => share.take(now, 64 * KILOBYTE, '10.0.0.2', 44_880);
    const taken = (now: number, attempts: number): number => Array.from({ length: attempts }, () => take(now)).filter(Boolean).length;
    expect(taken(0, 16)).toBe(16);
    expect(looks, 'a quarter of the buffer is not worth a look').toBe(0);
    used = 16 * KILOBYTE;
    expect(taken(0, 100), 'up to one half').toBe(16);
    expect(looks).toBe(1);
    used = 32 * KILOBYTE;
    expect([taken(19, 1), taken(20, 1)]).toEqual([0, 0]);
    used = 30 * KILOBYTE;
    expect(taken(40, 100), 'what has left makes room').toBe(2);
    used = 0;
    expect(taken(60, 100)).toBe(32);
  });

  it('finds the socket of an IPv6 address, also of a link-local one', () => {
    const line = (words: string, used: string): string => `  101: ${words}:AF50 0:0000 07 ${used}:00000000 00:00000000 0 0 0 2 2 0 0`;
    const isLittle = endianness() === 'LE';
    const text = [
      line(isLittle ? 'B80D0120000000000000000001000000' : '20010DB8000000000000000000000001', '00000400'),
      line(isLittle ? '000080FE000000000000000002000000' : 'FE800000000000000000000000000002', '00000800'),
    ].join('\n');
    expect([usedBy(text, '2001:db8::1', 44_880), usedBy(text, 'fe80::2%eth0', 44_880), usedBy(text, '::1', 44_880)]).toEqual([
      1_024, 2_048, 0,
    ]);
  });

  it('is unlimited on a system without a list of sockets', () => {
    let now = 0;
    const share = new SendBufferShare(() => '');
    expect(Array.from({ length: 1_000 }, () => share.take((now += 20), 64 * KILOBYTE, '10.0.0.2', 44_880))).not.toContain(false);
  });
});

describe('the bytes in a send buffer', () => {
  it('are found by address and port', () => {
    expect(usedBy(list(832), '10.0.0.2', 44_880)).toBe(832);
    expect(usedBy(list(832), '10.0.0.2', 44_881)).toBe(0);
    expect(usedBy(list(832), '0.0.0.0', 44_880)).toBe(0xffffff);
  });

  it.skipIf(platform() !== 'linux')('are in the list of this system under the socket’s address', async () => {
    const socket = createSocket('udp4');
    socket.bind(0, '127.0.0.7');
    await once(socket, 'listening');
    const { port } = socket.address();
    const listed = readFileSync('/proc/self/net/udp', 'utf8').replaceAll(/ 00000000:00000000 /g, ' 00000340:00000000 ');
    expect(usedBy(listed, '127.0.0.7', port)).toBe(832);
    await new Promise<void>((resolve) => socket.close(() => resolve()));
  });
});

describe('the size of a send buffer', () => {
  it('is eight packets of a kilobyte per session, and doubles from four megabytes', () => {
    expect([0, 1, 100, 5_000].map(sendBufferFor)).toEqual([0, 8_192, 819_200, 40_960_000]);
    expect([0, 1, 512, 513, 5_000].map(sendBufferToAskFor)).toEqual([4 << 20, 4 << 20, 4 << 20, 8 << 20, 64 << 20]);
  });
});
