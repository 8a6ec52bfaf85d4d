import { expected, LivenessError } from '../base/errors.js';

/** The version of a packet's sender in bytes 21 to 24: major, minor, patch, channel. */
export type VersionBytes = readonly [major: number, minor: number, patch: number, channel: number];

/** The bytes of a sender that does not send its version. */
export const NO_VERSION: VersionBytes = Object.freeze([0, 0, 0, 0] as const);

/** By the number of the channel. Any other kind of build is `other`. */
const CHANNELS = ['stable', 'alpha', 'beta', 'rc', 'dev', 'other'] as const;
const STABLE = 0;
const DEV = 4;
const OTHER = 5;

/** The words of build systems for a development build. */
const DEV_WORDS: ReadonlySet<string> = new Set(['dev', 'git', 'snapshot', 'dirty']);

/**
 * The bytes of a version in a form of a build system: `1.2.3`, `v1.2.3` (stable), `1.2.3-rc.1`, `1.2.3~rc1-1` (rc), `1.2.3-dev`,
 * `0.8.1~git20240101`, `1.2.3-4-gabcdef0`, `1.2.3+git.abc` (dev). Other build metadata, after a `+`, is ignored. `undefined` if the
 * text is no version, or a number does not fit into a byte.
 */
export function parseClientVersion(text: string): VersionBytes | undefined {
  if (typeof text !== 'string') return undefined;
  const match = /^v?(\d{1,3})\.(\d{1,3})\.(\d{1,3})(?:[-~]([^+]+))?(?:\+(.*))?$/.exec(text);
  if (match === null) return undefined;
  const [major, minor, patch] = [Number(match[1]), Number(match[2]), Number(match[3])];
  if (major > 255 || minor > 255 || patch > 255) return undefined;
  return [major, minor, patch, channelOf(match[4], match[5])];
}

/**
 * The text of a version: `1.2.3`, `1.2.3-rc`. An unknown channel is `other`.
 *
 * @throws LivenessError `ERR_INVALID_PACKET` if it is not four bytes
 */
export function formatClientVersion(version: VersionBytes): string {
  if (!isVersionBytes(version)) {
    throw new LivenessError('ERR_INVALID_PACKET', expected('version', 'four integers from 0 to 255', version));
  }
  const [major, minor, patch, channel] = version;
  const name = channel === STABLE ? '' : `-${CHANNELS[channel] ?? CHANNELS[OTHER]}`;
  return `${major}.${minor}.${patch}${name}`;
}

export function isVersionBytes(value: unknown): value is VersionBytes {
  return value === NO_VERSION || (Array.isArray(value) && value.length === 4 && value.every(isByte));
}

function isByte(value: unknown): boolean {
  return typeof value === 'number' && Number.isInteger(value) && value >= 0 && value <= 255;
}

/** The first word of the suffix decides. `4-gabcdef0` is of `git describe`: four commits after the version. */
function channelOf(suffix: string | undefined, metadata: string | undefined): number {
  if (suffix === undefined) return metadata !== undefined && DEV_WORDS.has(firstWord(metadata)) ? DEV : STABLE;
  const word = firstWord(suffix);
  if (DEV_WORDS.has(word) || /^\d+-g[0-9a-f]{4,}/i.test(suffix)) return DEV;
  const channel = CHANNELS.findIndex((name) => name === word);
  return channel > STABLE ? channel : OTHER;
}

function firstWord(text: string): string {
  return /^[a-z]*/i.exec(text)?.[0].toLowerCase() ?? '';
}
