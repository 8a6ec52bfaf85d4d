/** The page on the reference API: its names exist, and its program works. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { expect, it } from 'vitest';

import * as blocks from '../../ts/protocol.js';
import * as main from '../../ts/index.js';
import { samplesOf } from './pages.js';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const PAGE = readFileSync(join(ROOT, 'docs/building-blocks.md'), 'utf8');

/** The agent, and the packets of BFD. */
const PROGRAMS = samplesOf({ path: 'docs/building-blocks.md', text: PAGE });

it('names only what there is', () => {
  const rows = PAGE.split('\n').filter((line) => line.startsWith('| `'));
  expect(rows.length).toBe(44);
  const missing = rows.flatMap((row) => {
    const here = row.split(' | ')[1] ?? '';
    const exports: Record<string, unknown> = here.startsWith('block ') ? blocks : main;
    const code = [...here.matchAll(/`([^`]+)`/g)].map((match) => match[1] ?? '');
    const classes = code.flatMap((text) => /^(?:await )?(?:new )?([A-Z]\w+)(?:\.|\(|$)/.exec(text)?.[1] ?? []);
    const functions = code.flatMap((text) => /^(?:await )?([a-z]\w+)\(/.exec(text)?.[1] ?? []);
    // Types have nothing at run time; the type tests hold them.
    const types = ['ManagerConfig', 'RouteReaderWriter', 'RouteKey', 'Peer', 'SessionSnapshot', 'UDPService', 'HandleRx', 'SessionDown'];
    return [...classes, ...functions].filter((name) => !types.includes(name) && !name.startsWith('ERR_') && !(name in exports));
  });
  expect(missing).toEqual([]);
});

it('has a liveness agent of building blocks, under 80 lines, whose sessions come Up and go Down', async () => {
  const [program = ''] = PROGRAMS;
  expect(program.split('\n').length).toBeLessThan(80);
  // Inside of the package, so that it finds it by its name.
  const folder = mkdtempSync(join(ROOT, 'test', 'process', 'agent-'));
  try {
    const file = join(folder, 'agent.mjs');
    writeFileSync(file, program);
    const agent = (own: string, peer: string) =>
      spawn(process.execPath, [file, 'lo', own, '44887', peer], { stdio: ['ignore', 'pipe', 'inherit'] });
    const [one, two] = [agent('127.0.8.1', '127.0.8.2'), agent('127.0.8.2', '127.0.8.1')];
    const heard = { one: '', two: '' };
    one.stdout.on('data', (chunk: Buffer) => (heard.one += chunk.toString()));
    two.stdout.on('data', (chunk: Buffer) => (heard.two += chunk.toString()));
    await expect.poll(() => heard.one, { timeout: 15_000 }).toContain('127.0.8.2 is up');
    await expect.poll(() => heard.two, { timeout: 15_000 }).toContain('127.0.8.1 is up');
    two.kill('SIGKILL');
    await expect.poll(() => heard.one, { timeout: 15_000 }).toContain('127.0.8.2 is down (timeout)');
    one.kill('SIGTERM');
    expect(await once(one, 'exit')).toEqual([0, null]);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});

it('has a program that reads and writes packets of BFD, of names that there are', async () => {
  const names = [...PAGE.matchAll(/^\| block (.*?) \|/gm)].flatMap((match) =>
    [...(match[1] ?? '').matchAll(/`(\w+)`/g)].map(([, name = '']) => name),
  );
  expect(names.length).toBeGreaterThan(5);
  expect(names.filter((name) => !(name in blocks))).toEqual([]);
  const [, program = ''] = PROGRAMS;
  const folder = mkdtempSync(join(ROOT, 'test', 'process', 'packets-'));
  try {
    const file = join(folder, 'packets.mjs');
    writeFileSync(file, program);
    const child = spawn(process.execPath, [file], { stdio: ['ignore', 'pipe', 'inherit'] });
    let output = '';
    child.stdout.on('data', (chunk: Buffer) => (output += chunk.toString()));
    expect(await once(child, 'close')).toEqual([0, null]);
    expect(output).toBe('down, detection_time_expired, every 50 ms\n24 bytes; timed out: true\n');
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});
