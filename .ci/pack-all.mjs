// `npm run pack:all -- --destination DIR`: makes the packages of a release as tarballs: one for each addon in dist/native, and
// the main package, which depends on those. `--release` builds no addon, and fails where one is missing or needs a newer glibc
// than a release may.
import { spawnSync } from 'node:child_process';
import { copyFileSync, cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

import { GLIBC, glibcOf, isTooNew } from './glibc.mjs';
import { isPlaceholder, PUBLISHER } from './publisher.mjs';

const ROOT = join(dirname(fileURLToPath(import.meta.url)), '..');
const NATIVE = join(ROOT, 'dist', 'native');

const CPUS = { x86_64: 'x64', aarch64: 'arm64' };
const LIBCS = { gnu: 'glibc', musl: 'musl' };

const { values } = parseArgs({
  options: { destination: { type: 'string' }, release: { type: 'boolean', default: false } },
});
if (values.destination === undefined) fail('where to? npm run pack:all -- --destination DIR');
const destination = resolve(values.destination);
mkdirSync(destination, { recursive: true });

if (values.release && isPlaceholder() && process.env.CI) fail('.ci/publisher.mjs does not name the repository');
run('node', ['.ci/prepare.mjs', ...(values.release ? ['--without-addon'] : [])], ROOT);
run('node', ['.ci/versions.mjs'], ROOT);
const manifest = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8'));

const stage = mkdtempSync(join(tmpdir(), 'route-liveness-pack-'));
try {
  const platforms = manifest.napi.targets.flatMap((target) => packPlatform(target) ?? []);
  packMain(Object.fromEntries(platforms.map((name) => [name, manifest.version])));
} finally {
  rmSync(stage, { recursive: true, force: true });
}

/** The package of one target's addon; `undefined` where that was not built. */
function packPlatform(target) {
  const [arch, , os, libc] = target.split('-');
  const triple = `${os}-${CPUS[arch]}-${libc}`;
  const file = `${manifest.napi.binaryName}.${triple}.node`;
  if (!existsSync(join(NATIVE, file))) {
    if (values.release) fail(`${file} is missing: npm run build:all -- ${target}`);
    return undefined;
  }
  const glibc = glibcOf(join(NATIVE, file));
  if (values.release && isTooNew(glibc)) fail(`${file} needs ${glibc}; a release may need ${GLIBC}: npm run build:all -- ${target}`);
  const name = `${manifest.name}-${triple}`;
  const { version, license, engines } = manifest;
  const folder = join(stage, name);
  mkdirSync(folder);
  copyFileSync(join(NATIVE, file), join(folder, file));
  copyFileSync(join(ROOT, 'LICENSE'), join(folder, 'LICENSE'));
  writeFileSync(join(folder, 'THIRD-PARTY-NOTICES.txt'), notices(target));
  writeFileSync(
    join(folder, 'README.md'),
    `# ${name}\n\nThe native addon of \`${manifest.name}\` for ${target}. Install \`${manifest.name}\`, which brings it.\n`,
  );
  writeManifest(folder, {
    ...{ name, version, description: `The native addon of ${manifest.name} for ${target}`, license, ...PUBLISHER, engines },
    ...{ main: file, files: [file, 'THIRD-PARTY-NOTICES.txt'] },
    ...{ os: [os], cpu: [CPUS[arch]], libc: [LIBCS[libc]], preferUnplugged: true },
  });
  pack(folder);
  return name;
}

function packMain(optionalDependencies) {
  const folder = join(stage, manifest.name);
  for (const { path } of JSON.parse(run('npm', ['pack', '--dry-run', '--json', '--ignore-scripts'], ROOT))[0].files) {
    mkdirSync(dirname(join(folder, path)), { recursive: true });
    cpSync(join(ROOT, path), join(folder, path));
  }
  // What only a checkout needs stays there.
  const { scripts: _scripts, devDependencies: _dev, napi: _napi, ...published } = manifest;
  writeManifest(folder, { ...published, ...PUBLISHER, optionalDependencies });
  pack(folder);
}

/** The licences of the crates that are linked into the addon. */
function notices(target) {
  const metadata = JSON.parse(
    run(
      'cargo',
      [
        'metadata',
        '--format-version',
        '1',
        '--locked',
        '--features',
        'addon',
        '--filter-platform',
        target,
        '--manifest-path',
        'crate/Cargo.toml',
      ],
      ROOT,
    ),
  );
  const nodes = new Map(metadata.resolve.nodes.map((node) => [node.id, node]));
  const linked = new Set();
  const visit = (id) => {
    if (linked.has(id)) return;
    linked.add(id);
    for (const { pkg, dep_kinds: kinds } of nodes.get(id).deps) if (kinds.some(({ kind }) => kind === null)) visit(pkg);
  };
  visit(metadata.resolve.root);
  linked.delete(metadata.resolve.root);
  const crates = metadata.packages.filter(({ id }) => linked.has(id));
  return `The addon contains these crates.\n\n${crates.map(notice).join('\n')}`;
}

function notice({ name, version, license, manifest_path: path }) {
  const folder = dirname(path);
  const texts = readdirSync(folder).filter((file) => /^(licen[cs]e|copying|notice)/i.test(file));
  const said = texts.map((file) => `${file}\n\n${readFileSync(join(folder, file), 'utf8').trim()}\n`);
  return [`${'='.repeat(80)}\n${name} ${version} (${license ?? 'see below'})\n`, ...said].join('\n');
}

function writeManifest(folder, fields) {
  writeFileSync(join(folder, 'package.json'), `${JSON.stringify(fields, null, 2)}\n`);
}

function pack(folder) {
  const [{ filename, size, entryCount }] = JSON.parse(run('npm', ['pack', '--json', '--pack-destination', destination], folder));
  console.log(`${filename}: ${(size / 1e6).toFixed(2)} MB, ${entryCount} files`);
}

function run(program, arguments_, cwd) {
  const { error, status, stdout } = spawnSync(program, arguments_, {
    cwd,
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'inherit'],
    maxBuffer: 1 << 28,
  });
  if (error !== undefined || status !== 0) fail(`${program} ${arguments_.join(' ')} failed${error ? `: ${error.message}` : ''}`);
  return stdout;
}

function fail(text) {
  console.error(`[pack:all] ${text}`);
  process.exit(1);
}
