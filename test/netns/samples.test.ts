/** The samples of the pages, run as users would: those of one page are one program, on a host whose peer runs an agent. */
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { afterEach, beforeEach, expect, it } from 'vitest';

import { page, pages, ROOT, samplesOf } from '../docs/pages.js';
import { Agent, serviceRoute } from './agent.js';
import { describeLab, Lab } from './lab.js';

interface Expected {
  /** The peer also speaks BFD. */
  readonly hasBfdPeer?: boolean;
  readonly prints: readonly string[];
  readonly ends: 'by itself' | 'by SIGTERM';
}

const EXPECTED: Readonly<Record<string, Expected>> = {
  'README.md': {
    hasBfdPeer: true,
    prints: ['-> up (none)', 'add 10.9.0.2/32: done', 'BFD with 10.201.0.2 is up, its diagnostic is none'],
    ends: 'by SIGTERM',
  },
  'docs/guide.md': {
    prints: [
      'native engine on port 44880',
      'session with 10.201.0.2',
      '-> up (none)',
      'add 10.9.0.2/32: done',
      'up since 20',
      'detection time 150 ms',
      'in maintenance: admin_down',
      'delete 10.9.0.2/32: done',
    ],
    ends: 'by itself',
  },
  'docs/configuration.md': { prints: ['down, diagnostic none'], ends: 'by itself' },
  'docs/routes.md': { prints: ['adopted 1, nobody wants 10.9.0.77/32'], ends: 'by itself' },
  'docs/metrics.md': { prints: ['metrics on port 9464'], ends: 'by SIGTERM' },
  'docs/simulation.md': {
    prints: ['after three flaps: admin_down', 'after 10 s: up and up', 'went Down at', '(timeout)', 'healed: up and up'],
    ends: 'by itself',
  },
};

/** They have tests of their own: `test/docs/building-blocks.test.ts`, `test/interop/recipes.test.ts`. */
const ELSEWHERE = ['docs/building-blocks.md', 'docs/bfd.md'];

it('every page with samples has its test', () => {
  const withSamples = pages().filter((it) => samplesOf(it).length > 0);
  expect(withSamples.map(({ path }) => path).sort()).toEqual([...Object.keys(EXPECTED), ...ELSEWHERE].sort());
});

describeLab('on a host with a peer,', [], () => {
  let lab: Lab;
  let folder: string;

  beforeEach(() => {
    lab = new Lab();
    // Inside of the package, so that the program finds it by its name.
    folder = mkdtempSync(join(ROOT, 'test', 'netns', 'sample-'));
  });

  afterEach(() => {
    lab.close();
    rmSync(folder, { recursive: true, force: true });
  });

  it.each(Object.entries(EXPECTED))('the samples of %s do what the page says', async (path, { hasBfdPeer = false, prints, ends }) => {
    const peer = await Agent.start(lab, lab.two);
    await peer.register(serviceRoute(lab, lab.two), { peerIP: lab.one.address });
    if (hasBfdPeer) await startBfdPeer(lab);
    if (path === 'docs/routes.md') leaveRoutes(lab);
    const file = join(folder, 'program.mjs');
    writeFileSync(file, samplesOf(page(path)).join('\n').replaceAll('eth1', lab.one.iface));
    const child = lab.spawn(lab.one, 'sh', ['-c', 'exec "$0" "$1" 2>&1', process.execPath, file]);
    const exited = once(child, 'exit');
    let output = '';
    child.stdout?.on('data', (chunk: Buffer) => (output += chunk.toString()));
    for (const text of prints) await expect.poll(() => output, { timeout: 20_000 }).toContain(text);
    if (ends === 'by SIGTERM') child.kill('SIGTERM');
    expect(await exited).toEqual([0, null]);
    expect(output).not.toMatch(/error|warning/i);
  });
});

async function startBfdPeer(lab: Lab): Promise<void> {
  const peer = await Agent.start(lab, lab.two, { protocol: 'bfd' });
  await peer.call('registerSession', { iface: lab.two.iface, localIP: lab.two.address, peerIP: lab.one.address });
}

/** What a predecessor has left: a route that is registered again, and one that is not. */
function leaveRoutes(lab: Lab): void {
  for (const service of [lab.two.service, '10.9.0.77']) {
    lab.route(lab.one, 'add', `${service}/32`, 'via', lab.two.address, 'dev', lab.one.iface, 'proto', '186', 'src', lab.one.address);
  }
}
