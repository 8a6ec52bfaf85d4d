// Installs the packages in an empty folder and brings a session Up on the native engine:
//
//   node .ci/smoke.mjs --tarballs DIR       those of pack:all
//   node .ci/smoke.mjs --version 1.2.3      those of the registry that npm is configured with
import { spawnSync } from 'node:child_process';
import { copyFileSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

const ROOT = join(dirname(fileURLToPath(import.meta.url)), '..');
const NAME = 'route-liveness';
/** A registry takes a while until it shows what was published. */
const TRIES = 10;
const PAUSE_MS = 15_000;

const { values } = parseArgs({ options: { tarballs: { type: 'string' }, version: { type: 'string' } } });
if ((values.tarballs === undefined) === (values.version === undefined)) fail('either --tarballs DIR or --version VERSION');

const folder = mkdtempSync(join(tmpdir(), 'route-liveness-smoke-'));
process.once('exit', () => rmSync(folder, { recursive: true, force: true }));
const { main, platforms } = values.version === undefined ? tarballs(resolve(values.tarballs)) : { main: `${NAME}@${values.version}` };
writeFileSync(join(folder, 'package.json'), JSON.stringify({ name: 'smoke', private: true, optionalDependencies: platforms }));
install(main);
copyFileSync(join(ROOT, 'test', 'package', 'programs', 'up.mjs'), join(folder, 'up.mjs'));
const { status } = spawnSync(process.execPath, ['up.mjs'], { cwd: folder, stdio: 'inherit', env: { ...process.env, ENGINE: 'native' } });
process.exitCode = status ?? 1;

/** npm leaves out an optional package that is for another platform. */
function tarballs(directory) {
  const files = readdirSync(directory).filter((file) => file.endsWith('.tgz'));
  const main = files.find((file) => /^route-liveness-\d/.test(file)) ?? fail(`${directory} has no main package`);
  const others = files.filter((file) => file !== main);
  const platforms = Object.fromEntries(others.map((file) => [file.replace(/-\d+\.\d+\.\d+.*$/, ''), `file:${join(directory, file)}`]));
  return { main: join(directory, main), platforms };
}

function install(what) {
  for (let attempt = 1; ; attempt += 1) {
    const { status } = spawnSync('npm', ['install', '--no-audit', '--no-fund', what], { cwd: folder, stdio: 'inherit' });
    if (status === 0) return;
    if (values.version === undefined || attempt === TRIES) fail(`npm install ${what} failed`);
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, PAUSE_MS);
  }
}

function fail(text) {
  console.error(`[smoke] ${text}`);
  process.exit(1);
}
