// Makes a machine ready for the tests: brings the programs that they use, and builds those of the crate. What cannot be had is
// no failure: the tests that need it are skipped, and counted with the reason.
//
//   node .ci/prepare-tests.mjs [--dry-run] [program …]
//
// Without names: what `npm test` uses. --dry-run says what would be installed. ROUTE_LIVENESS_TEST_INSTALL=0 installs nothing.
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const ROOT = join(dirname(fileURLToPath(import.meta.url)), '..');
const PACKAGES = JSON.parse(readFileSync(join(ROOT, 'test', 'netns', 'programs.json'), 'utf8'));
/** What the tests between namespaces put between and beside their hosts. */
const EXAMPLES = ['relay', 'flood'];

/** Programs that are not on the path. */
const PLACES = { bfdd: '/usr/lib/frr/bfdd' };
/** Programs that have only the short option for their version. */
const SHORT = ['ip', 'tmux'];
/** Its exit code 101 keeps the daemons of a package from being started when it is installed (invoke-rc.d(8)). */
const POLICY = '/usr/sbin/policy-rc.d';

const dryRun = process.argv.includes('--dry-run');
const named = process.argv.slice(2).filter((it) => !it.startsWith('--'));
const wanted =
  named.length > 0
    ? named
    : ['ip', 'nft', 'tcpdump', 'setpriv', 'prometheus', 'promtool', 'tmux', 'chromium', 'systemd-analyze', 'bird', 'bfdd'];
const isRoot = process.platform === 'linux' && process.getuid() === 0;

install(wanted.filter((program) => !isThere(program)));
if (named.length === 0 && !dryRun) buildExamples();

function install(missing) {
  if (missing.length === 0) return;
  const packages = [...new Set(missing.map((program) => PACKAGES[program] ?? program))];
  const allowed = process.env.ROUTE_LIVENESS_TEST_INSTALL !== '0';
  if (isRoot && allowed && canRun('apt-get', ['--version'])) {
    say(`${missing.join(', ')} missing: ${dryRun ? 'would be installed' : 'installing'} with apt-get (${packages.join(' ')}) …`);
    if (dryRun) return;
    const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
    run('apt-get', ['update', '-qq'], env);
    const allow = keepDaemonsFromStarting();
    // One that cannot be had must not keep the others away.
    for (const name of packages) run('apt-get', ['install', '-y', '-qq', '--no-install-recommends', name], env);
    allow();
  }
  const still = missing.filter((program) => !isThere(program));
  if (still.length > 0)
    say(`${still.join(', ')} missing: the tests that need it are skipped (packages: ${still.map((it) => PACKAGES[it] ?? it).join(' ')})`);
}

/** Returns what undoes it. A policy that is there is the machine's, and stays. */
function keepDaemonsFromStarting() {
  if (existsSync(POLICY)) return () => undefined;
  writeFileSync(POLICY, '#!/bin/sh\nexit 101\n', { mode: 0o755 });
  return () => rmSync(POLICY);
}

/** The tests that use them need root. Where there is no cargo the set-up has said so. */
function buildExamples() {
  if (!isRoot) return;
  const examples = EXAMPLES.flatMap((name) => ['--example', name]);
  const args = ['build', '--locked', '--quiet', '--release', '--manifest-path', join(ROOT, 'crate', 'Cargo.toml'), ...examples];
  if (run('cargo', args) !== 0) process.exitCode = 1;
}

/** A program that is there tells its version; an empty file in its place tells nothing. */
function isThere(program) {
  return canRun(PLACES[program] ?? program, [SHORT.includes(program) ? '-V' : '--version']);
}

function canRun(program, args) {
  const { error, status, stdout, stderr } = spawnSync(program, args, { encoding: 'utf8' });
  return error === undefined && status === 0 && stdout + stderr !== '';
}

/** Only what goes wrong is shown. */
function run(program, args, env = process.env) {
  const { error, status, stdout, stderr } = spawnSync(program, args, { encoding: 'utf8', env });
  if (error !== undefined || status !== 0) {
    say(`\`${program} ${args.join(' ')}\` failed: ${error?.message ?? ''}`);
    process.stderr.write(`${stdout ?? ''}${stderr ?? ''}`);
  }
  return status ?? 1;
}

function say(text) {
  process.stderr.write(`[tests] ${text}\n`);
}
