// `npm run build:all`: builds the addon for every target of package.json that this machine can build for, into dist/native,
// and says what each is and which were left. `npm run build:all -- x86_64-unknown-linux-musl` builds some.
//
// Zig links: it brings the C libraries of all targets, and glibc in the version that is asked for. A target whose standard
// library rustup has not installed is built with the library's sources, which Debian packages with a compiler of their version.
import { spawnSync } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { GLIBC, glibcOf } from './glibc.mjs';
import { hashOfAddon, readStamp, writeStamp } from './stamp.mjs';

const ROOT = join(dirname(fileURLToPath(import.meta.url)), '..');
const CACHE = join(ROOT, 'node_modules', '.cache', 'route-liveness');
const PYTHON = join(CACHE, 'python');
const DEBIAN = join(CACHE, 'debian');

const manifest = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8'));
const wanted = process.argv.slice(2);
const targets = manifest.napi.targets.filter((target) => wanted.length === 0 || wanted.includes(target));
const unknown = wanted.filter((target) => !manifest.napi.targets.includes(target));
if (unknown.length > 0) fail(`no such target: ${unknown.join(', ')}; there are ${manifest.napi.targets.join(', ')}`);

run(process.execPath, ['.ci/prepare.mjs', '--packages']);
mkdirSync(CACHE, { recursive: true });
const left = [];
for (const target of targets) {
  try {
    build(target);
    // The set-up builds this machine's addon for this machine's glibc; what was built here serves it, and stays.
    if (target === hostTarget()) writeStamp({ ...readStamp(), addon: hashOfAddon() });
  } catch (error) {
    left.push(`${target}: ${error.message}`);
  }
}
console.table(built());
if (left.length > 0) console.log(`not built:\n${left.map((line) => `  - ${line}`).join('\n')}`);
process.exit(left.length === 0 ? 0 : 1);

function build(target) {
  say(`building for ${target} …`);
  const env = { ...process.env, ...zig() };
  const arguments_ = [];
  if (!hasStandardLibrary(target)) {
    Object.assign(env, compilerWithSources());
    // Without what names functions in a backtrace: the addon is stripped, and has no names.
    arguments_.push('--', '-Zbuild-std=std,panic_unwind', '-Zbuild-std-features=panic-unwind');
  }
  env.RUSTFLAGS = [env.RUSTFLAGS, ...flagsFor(target)].filter(Boolean).join(' ');
  const named = target.endsWith('-gnu') ? `${target}.${GLIBC}` : target;
  run(
    'npx',
    [
      ...['--no-install', 'napi', 'build', '--manifest-path', 'crate/Cargo.toml', '--package-json-path', 'package.json'],
      ...['--output-dir', 'dist/native', '--platform', '--release', '--features', 'addon', '--no-js'],
      ...['--cross-compile', '--target', named, ...arguments_],
    ],
    env,
  );
}

function flagsFor(target) {
  // Panic messages name source files: without this, by the folders of the machine that built them.
  const cargo = process.env.CARGO_HOME ?? join(homedir(), '.cargo');
  const flags = [`--remap-path-prefix=${ROOT}=/route-liveness`, `--remap-path-prefix=${cargo}=/cargo`];
  // An addon is loaded by a process that has its C library already.
  return target.endsWith('-musl') ? [...flags, '-C target-feature=-crt-static'] : flags;
}

function hostTarget() {
  const { stdout = '' } = spawnSync('rustc', ['-vV'], { encoding: 'utf8' });
  return /^host: (.*)$/m.exec(stdout)?.[1];
}

function hasStandardLibrary(target) {
  const { status, stdout } = spawnSync('rustc', ['--print', 'target-libdir', '--target', target], { encoding: 'utf8' });
  return status === 0 && existsSync(stdout.trim()) && readdirSync(stdout.trim()).some((name) => name.startsWith('libstd-'));
}

/** `zig` and `cargo-zigbuild`: those of the machine, else the packages of these names from PyPI. */
function zig() {
  if (has('zig', 'version') && has('cargo-zigbuild', '--version')) return {};
  const bin = join(PYTHON, 'bin');
  if (!existsSync(join(bin, 'cargo-zigbuild'))) {
    say('fetching zig and cargo-zigbuild …');
    run('python3', ['-m', 'pip', 'install', '--quiet', '--root-user-action=ignore', '--target', PYTHON, 'ziglang', 'cargo-zigbuild']);
  }
  const program = join(bin, 'zig');
  writeFileSync(program, '#!/bin/sh\nexec python3 -m ziglang "$@"\n');
  chmodSync(program, 0o755);
  return { PATH: `${bin}${delimiter}${process.env.PATH ?? ''}`, PYTHONPATH: PYTHON };
}

/** A compiler and the sources of its standard library, unpacked into the cache: nothing of the machine is changed. */
function compilerWithSources() {
  if (!has('apt-get', '--version')) {
    throw new Error('the target is not installed (rustup target add), and there is no apt-get to fetch a compiler with sources');
  }
  const rustc = join(DEBIAN, 'usr', 'bin', 'rustc');
  if (!existsSync(rustc)) fetchCompiler();
  const libraries = join(DEBIAN, 'usr', 'lib');
  return {
    RUSTC: rustc,
    // `-Zbuild-std` is for nightly compilers; this makes another one take it.
    RUSTC_BOOTSTRAP: '1',
    LD_LIBRARY_PATH: [...readdirSync(libraries).filter((name) => name.endsWith('-linux-gnu')), '.']
      .map((name) => join(libraries, name))
      .join(delimiter),
  };
}

function fetchCompiler() {
  say('fetching a compiler with the sources of its standard library …');
  mkdirSync(DEBIAN, { recursive: true });
  const rustc = ['rustc-web', 'rust-web-src', 'libstd-rust-web-dev'];
  const standard = dependencies('libstd-rust-web-dev', /^libstd-rust-web-[\d.]+$/);
  const llvm = standard.flatMap((name) => dependencies(name, /^libllvm\d+$/));
  run('apt-get', ['download', ...rustc, ...standard, ...llvm], process.env, DEBIAN);
  for (const name of readdirSync(DEBIAN).filter((file) => file.endsWith('.deb'))) run('dpkg', ['-x', name, '.'], process.env, DEBIAN);
}

function dependencies(name, pattern) {
  const { stdout = '' } = spawnSync('apt-cache', ['depends', name], { encoding: 'utf8' });
  return stdout
    .split('\n')
    .map((line) => line.replace(/^\s*Depends:\s*/, '').trim())
    .filter((line) => pattern.test(line));
}

/** What lies in dist/native: its size, and the newest glibc that it needs. */
function built() {
  const folder = join(ROOT, 'dist', 'native');
  const files = existsSync(folder) ? readdirSync(folder).filter((name) => name.endsWith('.node')) : [];
  return files.map((file) => ({
    file,
    MB: Number((statSync(join(folder, file)).size / 1e6).toFixed(2)),
    glibc: glibcOf(join(folder, file)),
  }));
}

function has(program, argument) {
  const { error, status } = spawnSync(program, [argument], { stdio: 'ignore' });
  return error === undefined && status === 0;
}

function run(program, arguments_, env = process.env, cwd = ROOT) {
  const { error, status } = spawnSync(program, arguments_, { cwd, env, stdio: ['ignore', 'inherit', 'inherit'] });
  if (error !== undefined || status !== 0) throw new Error(`${program} ${arguments_[0] ?? ''} failed${error ? `: ${error.message}` : ''}`);
}

function say(text) {
  process.stderr.write(`[build:all] ${text}\n`);
}

function fail(text) {
  say(text);
  process.exit(2);
}
