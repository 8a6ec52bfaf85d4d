/** Before the package tests: the tools are installed, the packages are made and published. */
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import type { TestProject } from 'vitest/node';

import { run } from './command.js';
import { Registry } from './registry.js';
import { installTools, ROOT } from './tools.js';

declare module 'vitest' {
  interface ProvidedContext {
    /** Where the registry answers. */
    registry: string;
    /** The folder of the tarballs. */
    tarballs: string;
    /** The version of the packages. */
    version: string;
  }
}

export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const folder = mkdtempSync(join(tmpdir(), 'route-liveness-package-'));
  await installTools();
  const tarballs = join(folder, 'tarballs');
  await run('node', ['.ci/pack-all.mjs', '--destination', tarballs], { cwd: ROOT });
  const registry = await Registry.start(join(folder, 'registry'));
  for (const tarball of readdirSync(tarballs)) await registry.publish(join(tarballs, tarball));
  project.provide('registry', registry.url);
  project.provide('tarballs', tarballs);
  project.provide('version', (JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as { version: string }).version);
  return async () => {
    await registry.stop();
    rmSync(folder, { recursive: true, force: true });
  };
}
