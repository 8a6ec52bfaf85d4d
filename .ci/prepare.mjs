// Makes a checkout ready to run: installs npm packages where the lock file or Node changed, and builds what changed.
// `--packages` only installs packages, `--without-addon` leaves the addon as it is. Plain Node, no dependency: it runs before
// there are any.
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';

import { hashOfAddon, hashOfPackages, hashOfTypeScript, readStamp, writeStamp } from './stamp.mjs';

const ROOT = join(dirname(fileURLToPath(import.meta.url)), '..');
const LOCK = join(ROOT, '.prepare.lock');
const LOCK_PATIENCE_MS = 15 * 60_000;

process.chdir(ROOT);
requireNode();
takeLock();
try {
  const stamp = readStamp();
  installPackages(stamp);
  if (!has('--packages', '--without-addon')) buildAddon(stamp);
  if (!has('--packages')) buildTypeScript(stamp);
} finally {
  rmSync(LOCK, { force: true });
}

function has(...flags) {
  return flags.some((flag) => process.argv.includes(flag));
}

function requireNode() {
  const [major, minor] = process.versions.node.split('.').map(Number);
  const served = (major === 20 && minor >= 19) || (major === 22 && minor >= 12) || major > 22;
  if (!served) fail(`route-liveness needs Node 20.19 or later, or 22.12 or later; this is ${process.versions.node}.`);
}

function installPackages(stamp) {
  const wanted = hashOfPackages();
  if (stamp.packages === wanted && existsSync('node_modules/.package-lock.json')) return;
  say('installing npm packages …');
  run('npm', ['ci', '--include=dev', '--include=optional', '--no-audit', '--no-fund'], withoutNpm());
  // npm ci emptied node_modules, and with it what was known before.
  Object.assign(stamp, { packages: wanted });
  writeStamp(stamp);
}

function buildAddon(stamp) {
  const wanted = hashOfAddon();
  if (stamp.addon === wanted && builtAddons().length > 0) return;
  if (process.platform !== 'linux') {
    say(`the native addon is for Linux; this is ${process.platform}`);
    return;
  }
  requireCargo();
  say('building the native addon, about a minute the first time …');
  run('npm', ['run', '--silent', 'build:addon']);
  writeStamp(Object.assign(stamp, { addon: wanted }));
}

function buildTypeScript(stamp) {
  const wanted = hashOfTypeScript();
  if (stamp.typescript === wanted && existsSync('dist/index.js') && existsSync('dist/index.d.ts')) return;
  say('building TypeScript …');
  run('npm', ['run', '--silent', 'build:ts']);
  writeStamp(Object.assign(stamp, { typescript: wanted }));
}

function requireCargo() {
  const { error, status } = spawnSync('cargo', ['--version'], { stdio: 'ignore' });
  if (error === undefined && status === 0) return;
  fail(
    [
      'Building the native addon needs Rust 1.88 or later, and there is no `cargo` here.',
      'Get it with rustup (https://rustup.rs) or from your distribution (Debian: apt-get install rustup), then try again.',
    ].join('\n'),
  );
}

/** One at a time: two builds in one folder spoil each other. A lock whose owner is gone is nobody's. */
function takeLock() {
  const began = Date.now();
  let told = false;
  for (;;) {
    try {
      writeFileSync(LOCK, String(process.pid), { flag: 'wx' });
      return;
    } catch (error) {
      if (error.code !== 'EEXIST') throw error;
    }
    if (!isAlive(Number(readIfThere(LOCK)))) {
      rmSync(LOCK, { force: true });
      continue;
    }
    if (Date.now() - began > LOCK_PATIENCE_MS) fail(`another set-up holds ${relative(ROOT, LOCK)}; remove it if there is none.`);
    if (!told) say('waiting for another set-up to end …');
    told = true;
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 200);
  }
}

function isAlive(pid) {
  if (!Number.isInteger(pid) || pid <= 0) return false;
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error.code === 'EPERM';
  }
}

function readIfThere(path) {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}

function builtAddons() {
  return existsSync('dist/native') ? readdirSync('dist/native').filter((name) => name.endsWith('.node')) : [];
}

/** What npm told this script must not steer the npm that it starts. */
function withoutNpm() {
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => !/^npm_/i.test(name)));
}

function run(command, args, env = process.env) {
  const { error, status } = spawnSync(command, args, { stdio: ['ignore', 'inherit', 'inherit'], env });
  if (error !== undefined) fail(`${command} cannot be run: ${error.message}`);
  if (status !== 0) fail(`\`${command} ${args.join(' ')}\` failed.`);
}

function say(text) {
  process.stderr.write(`[setup] ${text}\n`);
}

function fail(text) {
  rmSync(LOCK, { force: true });
  process.stderr.write(`[setup] ${text}\n`);
  process.exit(1);
}
