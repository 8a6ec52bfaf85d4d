/** What a predecessor and a successor say to each other beside a state file, and what neither may do to the other. */
import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { connect, createServer, Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { Registry } from 'prom-client';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';

import { LivenessError } from '../../ts/base/errors.js';
import { handoverSocket, handoverTicket, startAfterPredecessor } from '../../ts/engine/native/handover-request.js';
import { MemoryRoutes } from '../../ts/index.js';
import { HandoverServer } from '../../ts/manager/handover.js';
import { startManager } from '../../ts/manager/manager.js';
import { FakeEngine } from './fake-engine.js';

const NAME = '0123456789abcdef'.repeat(2);

let folder: string;
let resume: string;
let undo: (() => void)[];

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'handover-'));
  resume = join(folder, 'state');
  undo = [];
});
afterEach(() => {
  for (const it of undo) it();
  rmSync(folder, { recursive: true });
});

/** A file that is locked until its owner lets go, and an owner that does so when it is asked. */
async function predecessor(letGo: () => Promise<void> = () => Promise.resolve()): Promise<{ start: () => string; asked: () => number }> {
  let isHeld = true;
  let asked = 0;
  const server = await HandoverServer.listen(resume, async () => {
    asked += 1;
    server.close();
    await letGo();
    isHeld = false;
  });
  undo.push(() => server.close());
  return { start: starter(() => isHeld), asked: () => asked };
}

function starter(isHeld: () => boolean): () => string {
  return () => {
    if (isHeld()) throw new LivenessError('ERR_RESUME_BUSY', 'another process has it');
    return 'started';
  };
}

/** Somebody who listens on the socket and does what a test says. */
async function listener(serve: (socket: Socket) => void): Promise<Server> {
  const server = createServer(serve);
  await new Promise<void>((resolve) => server.listen(handoverSocket(resume), resolve));
  undo.push(() => server.close());
  return server;
}

/** Says something to the predecessor; resolves with its answers when it ends the connection. */
function say(...lines: string[]): Promise<string> {
  return new Promise((resolve) => {
    const socket = connect(handoverSocket(resume));
    let heard = '';
    socket.setEncoding('utf8');
    socket.on('data', (text: string) => {
      heard += text;
      const next = lines.shift();
      if (next !== undefined) socket.write(next);
    });
    socket.once('close', () => resolve(heard));
    socket.on('error', () => undefined);
    socket.write(lines.shift() ?? '');
  });
}

it('a successor starts once its predecessor has let go, and nothing of the conversation is left', async () => {
  const { start, asked } = await predecessor();
  await expect(startAfterPredecessor(start, resume, undefined)).resolves.toBe('started');
  expect(asked()).toBe(1);
  expect(readdirSync(folder)).toEqual([]);
});

it('a manager that cannot listen beside its state file is closed again, with its engine and its metrics', async () => {
  const metricsRegistry = new Registry();
  let engine: FakeEngine | undefined;
  const start = startManager(
    {
      netlinker: new MemoryRoutes(),
      bindIP: '10.0.0.1',
      txMin: 50,
      rxMin: 50,
      detectMult: 3,
      metricsRegistry,
      resume: join(folder, 'no', 'folder'),
    },
    undefined,
    (_, options, events) => Promise.resolve((engine = new FakeEngine(options, events))),
  );
  await expect(start).rejects.toThrow('no/folder.sock');
  expect(engine?.closedWith).toEqual({ adminDown: false });
  expect(await metricsRegistry.metrics()).not.toContain('sessions{');
});

it('a file that nobody has needs no conversation, and an error of another kind is told as it is', async () => {
  await expect(startAfterPredecessor(() => 'started', resume, undefined)).resolves.toBe('started');
  const fails = (): never => {
    throw new LivenessError('EADDRINUSE', 'taken');
  };
  await expect(startAfterPredecessor(fails, resume, undefined)).rejects.toMatchObject({ code: 'EADDRINUSE' });
});

it('a predecessor that does not answer within a second keeps everything, and the ticket is gone', async () => {
  await listener(() => undefined);
  const refused = { code: 'ERR_RESUME_BUSY', message: expect.stringContaining(resume) as string };
  await expect(
    startAfterPredecessor(
      starter(() => true),
      resume,
      undefined,
    ),
  ).rejects.toMatchObject(refused);
  expect(readdirSync(folder)).toEqual(['state.sock']);
});

it('a predecessor that has no socket keeps everything after a second', async () => {
  await expect(
    startAfterPredecessor(
      starter(() => true),
      resume,
      undefined,
    ),
  ).rejects.toMatchObject({ code: 'ERR_RESUME_BUSY' });
});

it('an aborted start asks no longer', async () => {
  await listener(() => undefined);
  const stop = new AbortController();
  const outcome = startAfterPredecessor(
    starter(() => true),
    resume,
    stop.signal,
  );
  setImmediate(() => stop.abort(new Error('enough')));
  await expect(outcome).rejects.toThrow('enough');
  expect(readdirSync(folder)).toEqual(['state.sock']);
});

it('a request whose ticket is gone, since the successor has given up, lets go of nothing', async () => {
  const { asked } = await predecessor();
  expect(await say(`handover ${NAME}\n`, 'go\n')).toBe('ready\n');
  expect(asked()).toBe(0);
  writeFileSync(handoverTicket(resume, NAME), '');
  expect(await say(`handover ${NAME}\n`, 'go\n')).toBe('ready\nleft\n');
  expect(asked()).toBe(1);
});

it('a request that is not followed by a go, or is no request, lets go of nothing', async () => {
  const { asked } = await predecessor();
  writeFileSync(handoverTicket(resume, NAME), '');
  for (const text of ['hello\n', 'handover ../../etc/passwd\n', 'x'.repeat(1_000), `handover ${NAME.toUpperCase()}\n`]) {
    expect(await say(text)).toBe('');
  }
  await new Promise<void>((resolve) => {
    const socket = connect(handoverSocket(resume));
    socket.once('data', () => socket.destroy());
    socket.once('close', () => resolve());
    socket.write(`handover ${NAME}\n`);
  });
  expect(asked()).toBe(0);
  expect(existsSync(handoverTicket(resume, NAME))).toBe(true);
});

it('an error of the listening socket, such as too few descriptors, ends nothing', async () => {
  const servers: Server[] = [];
  const listen = vi.spyOn(Server.prototype, 'listen').mockImplementation(function (this: Server, ...given: unknown[]): Server {
    servers.push(this);
    listen.mockRestore();
    return (this.listen as (...them: unknown[]) => Server)(...given);
  });
  const { start } = await predecessor();
  expect(() => servers[0]?.emit('error', new Error('EMFILE'))).not.toThrow();
  expect(() => servers[0]?.emit('error', new Error('EMFILE'))).not.toThrow();
  await expect(startAfterPredecessor(start, resume, undefined)).resolves.toBe('started');
});

it('a predecessor that has decided to let go is waited for, although its letting go fails to be told', async () => {
  let isHeld = true;
  await listener((socket) => {
    socket.once('data', (text) => {
      const name = /^handover (\w+)/.exec(String(text))?.[1] ?? '';
      rmSync(handoverTicket(resume, name));
      socket.destroy();
      setTimeout(() => (isHeld = false), 50);
    });
  });
  await expect(
    startAfterPredecessor(
      starter(() => isHeld),
      resume,
      undefined,
    ),
  ).resolves.toBe('started');
});
