/** An addon that cannot be used: what is said, and what runs instead. */
import { chmodSync, copyFileSync, existsSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { expect, inject, it } from 'vitest';

import { NPM } from './package-managers.js';
import { Project } from './project.js';
import { type NodeLine, ROOT } from './tools.js';

const PLATFORM = 'route-liveness-linux-x64-gnu';
const ADDON = 'route-liveness.linux-x64-gnu.node';
const MUSL = join(ROOT, 'dist', 'native', 'route-liveness.linux-x64-musl.node');

interface Fault {
  readonly name: string;
  /** Spoils the addon in the folder of its package. */
  readonly spoil: (folder: string) => void;
  /** What the error says of it. */
  readonly says: readonly (string | RegExp)[];
  readonly flags?: readonly string[];
  readonly line?: NodeLine;
  readonly needs?: string;
}

const FAULTS: readonly Fault[] = [
  { name: 'that is not installed', spoil: (folder) => rmSync(folder, { recursive: true }), says: [`${PLATFORM}: not found`] },
  {
    name: 'of another version',
    spoil: (folder) => {
      writeFileSync(join(folder, 'other.cjs'), "exports.version = () => '9.9.9';");
      const manifest = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')) as object;
      writeFileSync(join(folder, 'package.json'), JSON.stringify({ ...manifest, main: 'other.cjs' }));
    },
    says: [PLATFORM, `it was built for version 9.9.9, this package is ${inject('version')}`],
  },
  {
    name: 'that is cut off',
    spoil: (folder) => {
      const file = join(folder, ADDON);
      truncateSync(file, Math.floor(readFileSync(file).length / 2));
    },
    says: [PLATFORM, /the file is cut off: \d+ bytes are missing/],
  },
  {
    name: 'for another C library',
    spoil: (folder) => {
      copyFileSync(MUSL, join(folder, ADDON));
    },
    says: [PLATFORM, /libc\.\S*so/],
    needs: MUSL,
  },
  {
    name: 'that is no addon',
    spoil: (folder) => {
      writeFileSync(join(folder, ADDON), 'not an addon');
    },
    says: [PLATFORM, /invalid ELF header|file too short/],
  },
  {
    name: 'that --permission forbids',
    spoil: () => undefined,
    says: ['--allow-addons'],
    flags: ['--permission', '--allow-fs-read=*', '--allow-net'],
    line: '26',
  },
];

for (const { name, spoil, says, flags = [], line = '22', needs } of FAULTS) {
  const reason = needs !== undefined && !existsSync(needs) ? ' (skipped: the addon of musl is not built: npm run build:all)' : '';
  it.skipIf(reason !== '')(
    `an addon ${name} is an error of the native engine, and a warning where the choice is free${reason}`,
    async () => {
      using project = new Project();
      project.copy('up.mjs');
      await NPM.install(project, [`route-liveness@${inject('version')}`]);
      spoil(project.path('node_modules', PLATFORM));

      const asked = await project.end(line, [...flags, 'up.mjs'], { ENGINE: 'native' });
      expect(asked.code).toBe(1);
      expect(asked.stderr).toContain('ERR_ENGINE_UNAVAILABLE');
      for (const text of says) expect(asked.stderr).toMatch(text);

      const free = await project.end(line, [...flags, 'up.mjs']);
      expect(free).toMatchObject({ code: 0, stdout: expect.stringContaining('Up on js') as string });
      expect(free.stderr).toMatch(/warning.*native/i);
    },
  );
}

it('an addon that may not be executed is loaded: the system maps a file that can be read', async () => {
  using project = new Project();
  project.copy('up.mjs');
  await NPM.install(project, [`route-liveness@${inject('version')}`]);
  chmodSync(project.path('node_modules', PLATFORM, ADDON), 0o444);
  expect(await project.node('22', ['up.mjs'])).toContain('Up on native');
});
