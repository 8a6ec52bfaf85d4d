/** A release as the workflow makes it, in a clean clone with a tag, to a registry on loopback, and the installation of its result. */
import { cpSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterAll, beforeAll, expect, it } from 'vitest';

import { LONG } from './choice.js';
import { end, run } from './command.js';
import { Registry } from './registry.js';
import { ROOT } from './tools.js';

const { version, napi } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as { version: string; napi: { targets: string[] } };
const NATIVE = join(ROOT, 'dist', 'native');
const built = existsSync(NATIVE) ? readdirSync(NATIVE).filter((file) => file.endsWith('.node')) : [];
const reason = !LONG
  ? 'it is long: LONG_TESTS=1'
  : built.length < napi.targets.length
    ? 'not every addon is built: npm run build:all'
    : undefined;

let folder: string;
let clone: string;
let registry: Registry;

/** Runs a step of the workflow in the clone, against the registry on loopback. */
const step = (program: string, ...args: readonly string[]): ReturnType<typeof end> =>
  end(program, args, {
    cwd: clone,
    env: { ...process.env, CI: '', npm_config_registry: registry.url, npm_config_userconfig: registry.npmrc },
  });

beforeAll(async () => {
  if (reason !== undefined) return;
  folder = mkdtempSync(join(tmpdir(), 'route-liveness-release-'));
  clone = join(folder, 'clone');
  registry = await Registry.start(join(folder, 'registry'));
  await run('git', ['clone', '--quiet', '--no-hardlinks', ROOT, clone]);
  await run('git', ['tag', `v${version}`], { cwd: clone });
  // As the artifacts of the native workflow are.
  cpSync(NATIVE, join(clone, 'dist', 'native'), { recursive: true });
});

afterAll(async () => {
  if (reason !== undefined) return;
  await registry.stop();
  rmSync(folder, { recursive: true, force: true });
});

const SUFFIX = reason === undefined ? '' : ` (skipped: ${reason})`;

it.skipIf(reason !== undefined)(`a tag is released, and what was published is installed and runs${SUFFIX}`, async () => {
  const tag = await run('git', ['describe', '--tags', '--exact-match'], { cwd: clone });
  for (const [program, ...args] of [
    ['node', '.ci/versions.mjs', '--tag', tag.trim()],
    ['npm', 'run', 'pack:all', '--', '--release', '--destination', 'tarballs'],
    ['npm', 'run', 'release', '--', '--dry-run', 'tarballs'],
  ] as const) {
    expect(await step(program, ...args), args.join(' ')).toMatchObject({ code: 0 });
  }
  // A dry run publishes nothing.
  expect((await step('npm', 'view', 'route-liveness', 'version')).code).not.toBe(0);

  expect(await step('npm', 'run', 'release', '--', 'tarballs')).toMatchObject({ code: 0 });
  expect((await step('npm', 'view', 'route-liveness', 'optionalDependencies', '--json')).stdout).toContain(
    `"route-liveness-linux-arm64-musl": "${version}"`,
  );
  // A release that was interrupted is run again.
  expect((await step('npm', 'run', 'release', '--', 'tarballs')).stdout).toContain(`route-liveness@${version} is published`);

  const smoke = await step('node', '.ci/smoke.mjs', '--version', version);
  expect(smoke).toMatchObject({ code: 0, stdout: expect.stringContaining('Up on native') as string });
});

it.skipIf(reason !== undefined)(`a tag that is not the version is refused${SUFFIX}`, async () => {
  expect((await step('node', '.ci/versions.mjs', '--tag', 'v99.0.0')).code).toBe(1);
});
