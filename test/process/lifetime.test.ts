/** How a manager and the process around it live and end. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';

import { describe, expect, it } from 'vitest';

interface Ending {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly output: string;
}

/** Runs a fixture until it ends by itself, or ends it after so many milliseconds. */
async function run(fixture: string, args: readonly string[], endAfter = 60_000): Promise<Ending> {
  const program = fileURLToPath(new URL(`fixtures/${fixture}.mjs`, import.meta.url));
  // V8 doubles the room for young objects at moments of its own, by more megabytes than a leak may have.
  const flags = ['--expose-gc', '--max-semi-space-size=1'];
  const child = spawn(process.execPath, [...flags, program, ...args], { stdio: ['ignore', 'pipe', 'inherit'] });
  let output = '';
  child.stdout.on('data', (chunk: Buffer) => (output += chunk.toString()));
  const timer = setTimeout(() => child.kill('SIGTERM'), endAfter);
  const [code, signal] = (await once(child, 'exit')) as [number | null, NodeJS.Signals | null];
  clearTimeout(timer);
  return { code, signal, output };
}

it('an open manager keeps its process alive', async () => {
  expect(await run('open', [], 1_500)).toMatchObject({ signal: 'SIGTERM', output: 'done\n' });
});

it('an open manager lets its process exit after unref', async () => {
  expect(await run('open', ['unref'])).toMatchObject({ code: 0, output: 'done\n' });
});

it('an open manager keeps its process alive again after ref', async () => {
  expect(await run('open', ['unref', 'ref'], 1_500)).toMatchObject({ signal: 'SIGTERM' });
});

it('a process exits when its manager is closed, even if it is closed twice', async () => {
  expect(await run('open', ['close', 'close'])).toMatchObject({ code: 0, output: 'done\n' });
});

it('process.exit with an open manager ends the process with its code', async () => {
  expect(await run('open', ['exit'])).toMatchObject({ code: 7 });
});

it('terminating a worker ends the threads of its manager', async () => {
  const { code, output } = await run('worker', []);
  expect(code).toBe(0);
  const { before, after } = JSON.parse(output) as { before: number; after: number };
  expect(after).toBeLessThanOrEqual(before);
});

it('thousands of starts and closings leave no thread, descriptor or memory behind', async () => {
  const { code, output } = await run('cycles', ['12000'], 110_000);
  expect(code).toBe(0);
  const [half, end] = JSON.parse(output) as { threads: number; descriptors: number; rss: number }[];
  expect(end?.threads).toBe(half?.threads);
  expect(end?.descriptors).toBe(half?.descriptors);
  // One engine that stays costs 8 kB, 47 MiB over the second half.
  expect((end?.rss ?? Infinity) - (half?.rss ?? 0)).toBeLessThan(8 << 20);
});

describe.each(['listen', 'wrap'])('a transport (%s)', (kind) => {
  it('keeps its process alive while it is open', async () => {
    expect(await run('transport', [kind], 1_500)).toMatchObject({ signal: 'SIGTERM', output: 'done\n' });
  });

  it('lets its process exit when it is closed, even after a read and a second close', async () => {
    const { code, output } = await run('transport', [kind, 'read', 'close', 'close']);
    expect(code).toBe(0);
    expect(output.split('\n').sort()).toEqual(['', 'ERR_CLOSED', 'done']);
  });
});
