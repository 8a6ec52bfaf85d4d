/** What is in the tarballs, and what their manifests say. */
import { mkdirSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';

import { afterAll, beforeAll, expect, inject, it } from 'vitest';

import { run } from './command.js';
import { Project } from './project.js';
import { node, ROOT, tool } from './tools.js';

interface Manifest {
  readonly name: string;
  readonly version: string;
  readonly optionalDependencies?: Readonly<Record<string, string>>;
  readonly [field: string]: unknown;
}

/** Decimal. */
const [KB, MB] = [1e3, 1e6];

let project: Project;
const tarballs = inject('tarballs');
const main = join(tarballs, `route-liveness-${inject('version')}.tgz`);
const platforms = readdirSync(tarballs).filter((file) => join(tarballs, file) !== main);

beforeAll(() => {
  project = new Project();
});

afterAll(() => {
  project[Symbol.dispose]();
});

it('the main package has no addon and no source map, and is smaller than 350 kB', async () => {
  const folder = await unpacked(main);
  const files = filesIn(folder);
  expect(files).toEqual(
    expect.arrayContaining(['dist/index.js', 'dist/index.d.ts', 'dist/cli.js', 'LICENSE', 'README.md', 'package.json']),
  );
  expect(files.filter((file) => /\.(node|map)$/.test(file))).toEqual([]);
  expect(statSync(main).size).toBeLessThan(350 * KB);
});

it('the main package depends on the package of each platform that was made, in its own version', async () => {
  const { version, optionalDependencies, ...manifest } = manifestIn(await unpacked(main));
  const names = platforms.map((file) => file.replace(`-${version}.tgz`, ''));
  expect(names.length).toBeGreaterThan(0);
  expect(optionalDependencies).toEqual(Object.fromEntries(names.map((name) => [name, version])));
  expect(manifest).not.toHaveProperty('devDependencies');
  expect(manifest).not.toHaveProperty('scripts');
});

it('each package says who publishes it, where its sources are, and under which licence', async () => {
  for (const tarball of [main, ...platforms.map((file) => join(tarballs, file))]) {
    const manifest = manifestIn(await unpacked(tarball));
    expect(manifest).toMatchObject({ license: 'Apache-2.0', repository: { type: 'git' } });
    for (const field of ['author', 'homepage', 'bugs', 'description', 'engines']) expect(manifest, manifest.name).toHaveProperty(field);
  }
});

/**
 * Of the 2.36 MB for x64-gnu 1.70 MB is code: 0.38 MB decodes netlink, 0.29 MB is the standard library and another 0.17 MB of it names
 * the functions of a panic, 0.25 MB is N-API. Engine, driver and protocols have 0.16 MB: about half of that is the second protocol.
 * Next-hop objects, backups and the state file have added 0.15 MB to it.
 */
const ADDON_LIMIT = 2.9 * MB;

it.each(platforms)('%s has an addon smaller than 2.9 MB with the licences of its crates, for its platform alone', async (tarball) => {
  const folder = await unpacked(join(tarballs, tarball));
  const [, cpu = '', libc = ''] = /linux-(x64|arm64)-(gnu|musl)/.exec(tarball) ?? [];
  const addon = `route-liveness.linux-${cpu}-${libc}.node`;
  expect(filesIn(folder)).toEqual([...['LICENSE', 'README.md', 'THIRD-PARTY-NOTICES.txt', 'package.json', addon]].sort());
  expect(manifestIn(folder)).toMatchObject({
    ...{ os: ['linux'], cpu: [cpu], libc: [libc === 'gnu' ? 'glibc' : 'musl'] },
    ...{ main: addon, preferUnplugged: true },
  });
  expect(statSync(join(folder, addon)).size).toBeLessThan(ADDON_LIMIT);
  expect(readFileSync(join(folder, 'THIRD-PARTY-NOTICES.txt'), 'utf8')).toMatch(/^napi \d/m);
});

it('publint has nothing to say of any package', async () => {
  for (const tarball of [main, ...platforms.map((file) => join(tarballs, file))]) {
    await run(process.execPath, [join(ROOT, 'node_modules', 'publint', 'src', 'cli.js'), 'run', tarball, '--strict']);
  }
});

it('the types of each entry are found as node16 and bundlers resolve them', async () => {
  // CommonJS gets the ES modules, which Node from 20.19 and TypeScript from 5.8 load.
  const rules = ['--ignore-rules', 'cjs-resolves-to-esm', '--profile', 'node16'];
  await run(node('22'), [tool('@arethetypeswrong', 'cli', 'dist', 'index.js'), main, ...rules]);
});

async function unpacked(tarball: string): Promise<string> {
  const folder = project.path(tarball.replaceAll('/', '_'));
  mkdirSync(folder, { recursive: true });
  await run('tar', ['-xzf', tarball, '-C', folder]);
  return join(folder, 'package');
}

function filesIn(folder: string): string[] {
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((file) => statSync(join(folder, file)).isFile())
    .sort();
}

function manifestIn(folder: string): Manifest {
  return JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')) as Manifest;
}
