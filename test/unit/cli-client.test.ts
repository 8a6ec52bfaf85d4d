/** The client of the control API: addresses, failures, and the stream of events. */
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { once } from 'node:events';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';

import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import type { AgentEvent } from '../../ts/agent/control-api.js';
import { clientArguments, UsageError } from '../../ts/cli/client-arguments.js';
import { CannotAskError, ControlClient } from '../../ts/cli/control-client.js';
import { EventFollower, type NumberedEvent } from '../../ts/cli/event-stream.js';
import { serverSentEvents } from '../../ts/cli/server-sent-events.js';
import { AT, sessionView } from '../operator/agent-views.js';
import { CannedAgent, json } from '../operator/canned-agent.js';

let folder: string;
let socket: string;
let agent: CannedAgent;

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'rl-client-'));
  socket = join(folder, 'control.sock');
  agent = await CannedAgent.listen(socket);
});

afterEach(async () => {
  await agent.close();
  rmSync(folder, { recursive: true });
});

const reload = (added: number): AgentEvent => ({ type: 'reload', at: AT, ok: true, added, removed: 0, changed: 0, error: null });

async function failure(promise: Promise<unknown>): Promise<string> {
  const error = await promise.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(CannotAskError);
  return (error as Error).message;
}

describe('a question', () => {
  it('is asked over a unix socket or an address of loopback, with parameters that may repeat', async () => {
    agent.sessions = [sessionView({ liveness_status: 'down' }), sessionView()];
    const parameters = { state: ['down', 'init'], peer: '10.201.0.2', manager: undefined };
    const { sessions } = await new ControlClient({ socket }).sessions(parameters);
    expect(sessions).toEqual([agent.sessions[0]]);
    expect(agent.asked).toEqual(['/sessions?state=down&state=init&peer=10.201.0.2']);

    const other = await CannedAgent.listen();
    other.sessions = [sessionView()];
    const answer = await new ControlClient({ url: new URL(other.url) }).sessions();
    expect(answer.sessions).toHaveLength(1);
    await other.close();
  });

  it('to a path where nothing is says how to start an agent', async () => {
    expect(await failure(new ControlClient({ socket: join(folder, 'none') }).sessions())).toMatch(
      /No agent has its control socket at .*none: start one/,
    );
  });

  it('to a socket that an agent left behind, or to a file, says that nothing listens', async () => {
    writeFileSync(join(folder, 'file'), '');
    expect(await failure(new ControlClient({ socket: join(folder, 'file') }).sessions())).toContain('Nothing listens at');
  });

  it('to a socket that this user may not open says who may', async () => {
    chmodSync(socket, 0);
    // Root may open everything.
    const isRoot = process.geteuid?.() === 0;
    if (isRoot) process.seteuid?.(65_534);
    try {
      expect(await failure(new ControlClient({ socket }).sessions())).toContain('This user may not open');
    } finally {
      if (isRoot) process.seteuid?.(0);
    }
  });

  it('that the agent refuses has its reason and its code', async () => {
    agent.handler = (_, response) => json(response, 400, { code: 'ERR_CONFIG', message: 'Expected `state` to be …' });
    expect(await failure(new ControlClient({ socket }).sessions())).toContain('refuses: Expected `state` to be … (ERR_CONFIG)');
  });

  it('to something that is no agent says so', async () => {
    agent.handler = (_, response) => json(response, 200, { elsewhere: true });
    expect(await failure(new ControlClient({ socket }).sessions())).toContain(
      'is no agent of route-liveness: its answer has no `sessions`',
    );
    agent.handler = (_, response) => response.end('<html>');
    expect(await failure(new ControlClient({ socket }).sessions())).toContain('is no agent of route-liveness: it answers 200 without JSON');
    const path = join(folder, 'echo.sock');
    const echo = createServer((connection) => connection.end('220 mail\r\n')).listen(path);
    await once(echo, 'listening');
    expect(await failure(new ControlClient({ socket: path }).sessions())).toContain('cannot be asked: Parse Error');
    echo.close();
  });

  it('whose answer is cut off fails', async () => {
    agent.handler = (_, response) => {
      response.writeHead(200, { 'content-length': 1_000 }).write('{');
      setImmediate(() => response.destroy());
    };
    expect(await failure(new ControlClient({ socket }).sessions())).toContain('cannot be asked: aborted');
  });

  it('about the health of a sick agent is answered', async () => {
    agent.handler = (_, response) => json(response, 503, { ok: false, started: AT });
    expect(await new ControlClient({ socket }).health()).toMatchObject({ ok: false });
  });
});

describe('the arguments', () => {
  it('name one agent, the default socket where they name none', () => {
    expect(clientArguments([], {}).address).toEqual({ socket: '/run/route-liveness/control.sock' });
    expect(clientArguments(['--socket', '/a'], {}).address).toEqual({ socket: '/a' });
    expect(clientArguments(['--url=http://[::1]:9810'], {}).address).toEqual({ url: new URL('http://[::1]:9810') });
  });

  it('that are wrong are refused with what is near to them', () => {
    const refused = (...args: string[]) => expect(() => clientArguments(args, { state: { type: 'string' } }));
    refused('--sokcet', '/a').toThrow(new UsageError("Unknown option '--sokcet' (did you mean `socket`?)"));
    refused('--stat', 'up').toThrow('did you mean `state`?');
    refused('--socket').toThrow(UsageError);
    refused('--url', 'ftp://x').toThrow('Expected --url to be like http://127.0.0.1:9810, got `ftp://x`');
    refused('--url', 'http://127.0.0.1:1', '--socket', '/a').toThrow('give one of them');
    refused('surplus').toThrow(UsageError);
  });
});

describe('server-sent events', () => {
  const read = async (...parts: string[]): Promise<unknown[]> => {
    const found = [];
    for await (const event of serverSentEvents(Readable.from(parts.map((part) => Buffer.from(part))))) found.push(event);
    return found;
  };

  it('are read whatever the ends of lines and the pieces they arrive in', async () => {
    const text = ': hello\n\nid: 1\nevent: x\ndata: a\ndata: b\n\nid: 2\ndata:c\n\n';
    const expected = [
      { id: '1', data: 'a\nb' },
      { id: '2', data: 'c' },
    ];
    expect(await read(text)).toEqual(expected);
    expect(await read(...text.split(''))).toEqual(expected);
    expect(await read(...text.replaceAll('\n', '\r\n').split(''))).toEqual(expected);
  });

  it('that are not complete are left out; a number without data is given', async () => {
    expect(await read('id: 7\n\nid: 8\ndata: x')).toEqual([{ id: '7', data: '' }]);
  });

  it('of a stream without an end of line do not fill the memory', async () => {
    await expect(read('x'.repeat(2_000_000))).rejects.toThrow('a line of more than 1048576 characters');
  });
});

describe('events that are followed', () => {
  let end: AbortController;
  let got: NumberedEvent[];
  let told: string[];

  const follow = (): Promise<void> => {
    const listener = {
      interrupted: () => told.push('interrupted'),
      resumed: (isNew: boolean) => told.push(isNew ? 'new agent' : 'resumed'),
    };
    const follower = new EventFollower(new ControlClient({ socket }), listener, end.signal);
    return (async () => {
      for await (const event of follower.events()) got.push(event);
    })();
  };
  const until = async (condition: () => boolean): Promise<void> => {
    const deadline = Date.now() + 15_000;
    while (!condition()) {
      if (Date.now() > deadline) throw new Error(`waited in vain: ${JSON.stringify({ got, told })}`);
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  };

  beforeEach(() => {
    end = new AbortController();
    got = [];
    told = [];
  });

  it('come from now on, and end when they are not wanted any more', async () => {
    agent.push(reload(1));
    const done = follow();
    await until(() => agent.readers === 1);
    agent.push(reload(2));
    await until(() => got.length === 1);
    end.abort();
    await done;
    expect(got).toEqual([{ id: 2, event: reload(2) }]);
    expect(told).toEqual([]);
  });

  it('go on behind the last one after an interruption, without one lost or doubled', async () => {
    const done = follow();
    await until(() => agent.readers === 1);
    agent.push(reload(1));
    await until(() => got.length === 1);
    agent.cutStreams();
    agent.push(reload(2));
    await until(() => got.length === 2);
    agent.push(reload(3));
    await until(() => got.length === 3);
    end.abort();
    await done;
    expect(got.map(({ id }) => id)).toEqual([1, 2, 3]);
    expect(told).toEqual(['interrupted', 'resumed']);
  });

  it('that happen during an interruption are not lost, although none was heard before', async () => {
    const done = follow();
    await until(() => agent.readers === 1);
    agent.endStreams();
    agent.push(reload(1));
    await until(() => got.length === 1);
    end.abort();
    await done;
    expect(got).toEqual([{ id: 1, event: reload(1) }]);
  });

  it('of an agent that was started anew come from its first, behind the gap that it tells', async () => {
    const done = follow();
    await until(() => agent.readers === 1);
    for (const added of [1, 2, 3]) agent.push(reload(added));
    await until(() => got.length === 3);
    await agent.close();
    agent.begin();
    agent.push(reload(10));
    await agent.listen(socket);
    await until(() => got.length === 5);
    end.abort();
    await done;
    expect(got.slice(3)).toEqual([
      { id: 1_002, event: { type: 'gap', at: AT, after: 3, before: 1_003 } },
      { id: 1_003, event: reload(10) },
    ]);
    expect(told).toEqual(['interrupted', 'new agent']);
  });

  it('of an agent that is not there fail at once', async () => {
    await agent.close();
    await expect(follow()).rejects.toBeInstanceOf(CannotAskError);
  });
});
