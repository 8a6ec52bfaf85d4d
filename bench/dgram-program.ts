/**
 * What plain JavaScript costs: `floor.rs` over `node:dgram`. It sends and receives as many datagrams as an engine with so
 * many sessions would, on a wheel of millisecond ticks, by a socket per local address, and does nothing else.
 *
 * Reads one line of JSON (`Setup`), answers `{"ready":true}`, then answers every further line with its `Counts`, and ends
 * with its input.
 */
import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { createInterface } from 'node:readline';

import { monotonicNow } from '../ts/base/clock.js';
import { jittered, Xorshift32 } from '../ts/protocol/jitter.js';
import { ControlPacket } from '../ts/protocol/packet.js';
import type { Counts } from './endpoint-methods.js';

interface Setup {
  readonly port: number;
  readonly intervalUs: number;
  /** Local address and peer of each session. */
  readonly sessions: readonly (readonly [string, string])[];
}

interface Sender {
  readonly socket: Socket;
  readonly peer: string;
}

const DETECT_MULT = 3;
const RECEIVE_BUFFER = 4 << 20;
/** No interval that is measured is longer with its jitter. */
const WHEEL_MS = 2_048;

const counts = { tx: 0, rx: 0 };
const wheel: Sender[][] = Array.from({ length: WHEEL_MS }, () => []);
const random = new Xorshift32(1);

const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const first: IteratorResult<string, unknown> = await lines.next();
const setup = JSON.parse(String(first.value)) as Setup;
const { port, intervalUs } = setup;
const bytes = packet();
await fillWheel();
turnWheel();
console.log('{"ready":true}');
while ((await lines.next()).done !== true) console.log(JSON.stringify(sample()));
process.exit();

function packet(): Uint8Array {
  const interval = { desiredMinTxUs: intervalUs, requiredMinRxUs: intervalUs };
  return new ControlPacket({ version: 1, state: 'up', detectMult: DETECT_MULT, localDiscr: 1, peerDiscr: 1, ...interval }).marshal();
}

async function fillWheel(): Promise<void> {
  const sockets = new Map<string, Socket>();
  for (const [index, [localIP, peer]] of setup.sessions.entries()) {
    const socket = sockets.get(localIP) ?? (await open(localIP));
    sockets.set(localIP, socket);
    // Spread over the interval, as sessions are that came Up one by one.
    wheel[Math.floor((index * intervalUs) / setup.sessions.length / 1_000)]?.push({ socket, peer });
  }
}

async function open(localIP: string): Promise<Socket> {
  const socket = createSocket({ type: 'udp4', recvBufferSize: RECEIVE_BUFFER });
  socket.on('message', () => {
    counts.rx += 1;
  });
  socket.bind({ address: localIP, port, exclusive: true });
  await once(socket, 'listening');
  return socket;
}

function turnWheel(): void {
  const began = monotonicNow();
  let turned = 0;
  setInterval(() => {
    for (const now = monotonicNow() - began; turned < now; turned += 1) {
      const due = wheel[turned % WHEEL_MS] ?? [];
      wheel[turned % WHEEL_MS] = [];
      for (const sender of due) {
        send(sender);
        const next = turned + Math.max(1, Math.round(jittered(intervalUs, DETECT_MULT, () => random.next()) / 1_000));
        wheel[next % WHEEL_MS]?.push(sender);
      }
    }
  }, 1);
}

function send({ socket, peer }: Sender): void {
  socket.send(bytes, port, peer, (error) => {
    if (error === null) counts.tx += 1;
  });
}

function sample(): Counts {
  const { user, system } = process.cpuUsage();
  return { ...counts, cpuUs: user + system, nowUs: Math.round(monotonicNow() * 1_000) };
}
