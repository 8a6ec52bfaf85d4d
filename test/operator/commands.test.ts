/** `status`, `events` and `watch` as processes that ask an agent with canned answers. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import type { AgentEvent } from '../../ts/agent/control-api.js';
import { AT, manySessions, routeView, sessionView } from './agent-views.js';
import { CannedAgent } from './canned-agent.js';

const CLI = fileURLToPath(new URL('../../dist/cli.js', import.meta.url));

let folder: string;
let socket: string;
let agent: CannedAgent;
const running: ChildProcess[] = [];

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'rl-clients-'));
  socket = join(folder, 'control.sock');
  agent = await CannedAgent.listen(socket);
});

afterEach(async () => {
  for (const child of running.splice(0)) child.kill('SIGKILL');
  await agent.close();
  rmSync(folder, { recursive: true });
});

interface Ended {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

interface Started {
  readonly child: ChildProcess;
  readonly output: { stdout: string; stderr: string };
  readonly ended: Promise<Ended>;
}

function start(command: string, ...args: string[]): Started {
  const child = spawn(process.execPath, [CLI, command, '--socket', socket, ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
  running.push(child);
  const output = { stdout: '', stderr: '' };
  for (const name of ['stdout', 'stderr'] as const) {
    child[name].setEncoding('utf8').on('data', (text: string) => (output[name] += text));
  }
  const ended = once(child, 'close').then(([code]) => ({ code: code as number | null, ...output }));
  return { child, output, ended };
}

const run = (command: string, ...args: string[]): Promise<Ended> => start(command, ...args).ended;

async function until(condition: () => boolean, what: () => unknown): Promise<void> {
  const deadline = Date.now() + 20_000;
  while (!condition()) {
    if (Date.now() > deadline) throw new Error(`waited in vain: ${JSON.stringify(what())}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

const transition = (peer_ip: string): AgentEvent => ({
  type: 'transition',
  at: AT,
  manager: 'fabric',
  iface: 'eth1',
  local_ip: '10.201.0.1',
  peer_ip,
  from: 'up',
  to: 'down',
  reason: 'timeout',
  cause: 'detect_timeout',
  local_stall_ms: 0,
  silence_ms: 150,
  count: 1,
  local_diag: null,
  remote_diag: null,
});

describe('status', () => {
  it('ends with 0 when every session is Up', async () => {
    agent.sessions = manySessions(3);
    const { code, stdout, stderr } = await run('status');
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(stdout).toMatch(/^STATE .*\n(up .*\n){3}3 sessions: 3 up\n$/);
  });

  it('ends with 1 when one is not, which comes first', async () => {
    agent.sessions = manySessions(1_000, (index) => (index === 700 ? { liveness_status: 'down', reason: 'timeout' } : {}));
    const { code, stdout } = await run('status');
    expect(code).toBe(1);
    expect(stdout.split('\n')[1]).toMatch(/^down .*10\.201\.2\.188 /);
    expect(stdout).toMatch(/1000 sessions: 1 down, 999 up\n$/);
  });

  it('passes filters on; nothing by a name is a failure, nothing in a state is none', async () => {
    agent.sessions = manySessions(3);
    expect(await run('status', '--peer', '10.201.0.1')).toMatchObject({
      code: 0,
      stdout: expect.stringContaining('1 session: 1 up') as string,
    });
    expect(await run('status', '--peer', '192.0.2.1')).toMatchObject({ code: 1, stdout: '0 sessions\n' });
    expect(await run('status', '--state', 'down', '--state', 'init')).toMatchObject({ code: 0, stdout: '0 sessions\n' });
    expect(agent.asked.at(-1)).toBe('/sessions?state=down&state=init');
  });

  it('--json gives the answer of the API, worst first, with the same exit status', async () => {
    agent.sessions = [sessionView(), sessionView({ liveness_status: 'init' })];
    const { code, stdout } = await run('status', '--json');
    expect(code).toBe(1);
    expect(JSON.parse(stdout)).toEqual({ at: AT, sessions: [agent.sessions[1], agent.sessions[0]] });
  });

  it('--routes shows routes, and ends with 1 where one of an Up session is not installed', async () => {
    agent.routes = [routeView(), routeView({ dst: '10.9.0.3/32', rt_status: 'absent', last_error: 'EEXIST' })];
    const { code, stdout } = await run('status', '--routes');
    expect(code).toBe(1);
    expect(stdout).toMatch(/\nabsent .*10\.9\.0\.3\/32 .*EEXIST\npresent .*10\.9\.0\.2\/32 .*\n2 routes, 1 installed\n$/);
  });

  it('ends with 2 for a wrong command line and with 3 where no agent answers', async () => {
    expect(await run('status', '--state', 'dow')).toMatchObject({
      code: 2,
      stdout: '',
      stderr: expect.stringMatching(/^Expected --state to be .*, got `dow` \(did you mean `down`\?\)\n\nroute-liveness status/) as string,
    });
    await agent.close();
    expect(await run('status')).toMatchObject({
      code: 3,
      stdout: '',
      stderr: expect.stringContaining('No agent has its control socket') as string,
    });
  });

  it('--help ends with 0 and asks nobody', async () => {
    for (const command of ['status', 'watch', 'events']) {
      expect(await run(command, '--help')).toMatchObject({
        code: 0,
        stderr: '',
        stdout: expect.stringContaining('Exit status:') as string,
      });
    }
    expect(agent.asked).toEqual([]);
  });
});

describe('events', () => {
  it('writes each event as it happens, goes on after an interruption, and ends with 0 when it is interrupted', async () => {
    const { child, output, ended } = start('events');
    await until(
      () => agent.readers === 1,
      () => output,
    );
    agent.push(transition('10.201.0.2'));
    await until(
      () => output.stdout.includes('10.201.0.2'),
      () => output,
    );
    agent.cutStreams();
    agent.push(transition('10.201.0.3'));
    await until(
      () => output.stdout.includes('10.201.0.3'),
      () => output,
    );
    agent.push({ type: 'gap', at: AT, after: 2, before: 9 });
    await until(
      () => output.stdout.includes('between event 2 and event 9'),
      () => output,
    );
    child.kill('SIGINT');
    const { code, stdout, stderr } = await ended;
    expect(code).toBe(0);
    expect(stdout).toMatch(
      /^2026-11-2\d \d\d:00:00\.000 {2}down {6} {2}10\.201\.0\.2 on eth1 from 10\.201\.0\.1: up → down \(timeout, silent for 150 ms, own delay 0 ms\)\n/,
    );
    expect(stderr).toMatch(/^\[events\] interrupted: .*\n\[events\] the agent answers again; going on behind the last event\n$/);
  });

  it('--json writes an object a line with the number of the event, --peer leaves out other sessions', async () => {
    const { child, output, ended } = start('events', '--json', '--peer', '10.201.0.3');
    await until(
      () => agent.readers === 1,
      () => output,
    );
    agent.push(transition('10.201.0.2'));
    agent.push(transition('10.201.0.3'));
    await until(
      () => output.stdout.includes('\n'),
      () => output,
    );
    child.kill('SIGTERM');
    const { code, stdout } = await ended;
    expect(code).toBe(0);
    expect(JSON.parse(stdout)).toEqual({ id: 2, ...transition('10.201.0.3') });
  });

  it('ends when its reader is gone, as `head` is', async () => {
    const { child, output, ended } = start('events');
    await until(
      () => agent.readers === 1,
      () => output,
    );
    child.stdout?.destroy();
    agent.push(transition('10.201.0.2'));
    expect(await ended).toMatchObject({ code: 0, stderr: '' });
  });
});

describe('watch', () => {
  it('without a terminal says what to use in its place', async () => {
    expect(await run('watch')).toMatchObject({
      code: 2,
      stdout: '',
      stderr: expect.stringMatching(/^`watch` needs a terminal; use `status` or `events`/) as string,
    });
  });
});
