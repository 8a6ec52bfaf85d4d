/** Which process holds a UDP port, as far as Linux tells this process. */
import { readdir, readFile, readlink } from 'node:fs/promises';
import { endianness } from 'node:os';

import { addressWords, familyOf, packAddress } from './address.js';
import { monotonicNow } from './clock.js';

/** A process that holds a socket. */
export interface PortHolder {
  readonly pid: number;
  /** The name of its program, 15 characters at most: `/proc/PID/comm`. */
  readonly name: string;
}

/**
 * The processes whose sockets keep this one from binding an address and a port. Empty where the system does not tell: on another
 * system than Linux, without the right to look into the process, or if the process is in another PID namespace. Never rejects.
 *
 * @param address valid, of IPv6 in canonical form
 */
export async function portHolders(address: string, port: number): Promise<PortHolder[]> {
  try {
    const inodes = await socketsOn(address, port);
    return inodes.size === 0 ? [] : await holdersOf(inodes);
  } catch {
    // Without /proc there is nothing to tell; the error that is to be explained stays.
    return [];
  }
}

/** The inodes of the sockets that are bound to a port and to an address that excludes the given one. */
async function socketsOn(address: string, port: number): Promise<Set<string>> {
  const wanted = hexOf(address);
  const excludes = (text: string): boolean => text === wanted || isWildcard(text) || isWildcard(wanted);
  if (familyOf(address) === 'IPv6') return bound('/proc/net/udp6', port, excludes);
  const inodes = await bound('/proc/net/udp', port, excludes);
  // A socket on `::` has the port of IPv4 too, unless it takes IPv6 alone.
  return inodes.size > 0 ? inodes : bound('/proc/net/udp6', port, isWildcard);
}

function isWildcard(hex: string): boolean {
  return /^0+$/.test(hex);
}

/** The inodes in a table of the kernel (`proc_net_udp(5)`) whose local address passes a check and whose port is the given one. */
async function bound(table: string, port: number, matches: (address: string) => boolean): Promise<Set<string>> {
  const lines = (await readFile(table, 'utf8')).split('\n').slice(1);
  const inodes = lines.flatMap((line) => {
    const columns = line.trim().split(/\s+/);
    const [address = '', hexPort = ''] = (columns[LOCAL] ?? '').split(':');
    const inode = columns[INODE];
    return inode !== undefined && Number.parseInt(hexPort, 16) === port && matches(address) ? [inode] : [];
  });
  return new Set(inodes);
}

/** An error waits for the search. */
const LONGEST_SEARCH_MS = 1_000;

const READ_AT_ONCE = 64;

/** The columns of `/proc/net/udp`. */
const LOCAL = 1;
const INODE = 9;

/** An address as the kernel writes it: each word of 32 bits as a number in the order of this host's bytes. */
function hexOf(address: string): string {
  const packed = packAddress(address);
  const words = typeof packed === 'number' ? [packed >>> 0] : addressWords(packed);
  const bytes = Buffer.alloc(words.length * 4);
  words.forEach((word, index) => bytes.writeUInt32BE(word, index * 4));
  if (endianness() === 'LE') bytes.swap32();
  return bytes.toString('hex').toUpperCase();
}

/** The processes that have a descriptor of one of the sockets. */
async function holdersOf(inodes: ReadonlySet<string>): Promise<PortHolder[]> {
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name));
  const holders: PortHolder[] = [];
  const end = monotonicNow() + LONGEST_SEARCH_MS;
  // One process after the other: there may be thousands, and the search must not occupy the threads that read files.
  for (const pid of pids) {
    if (monotonicNow() > end) break;
    if (await holdsSocket(pid, inodes)) holders.push({ pid: Number(pid), name: await nameOf(pid) });
  }
  return holders;
}

/** A process may end meanwhile, or may not be looked into. */
async function holdsSocket(pid: string, inodes: ReadonlySet<string>): Promise<boolean> {
  const folder = `/proc/${pid}/fd`;
  const descriptors = await readdir(folder).catch(() => []);
  for (let from = 0; from < descriptors.length; from += READ_AT_ONCE) {
    const some = descriptors.slice(from, from + READ_AT_ONCE);
    const targets = await Promise.all(some.map((name) => readlink(`${folder}/${name}`).catch(() => '')));
    if (targets.some((target) => inodes.has(/^socket:\[(\d+)\]$/.exec(target)?.[1] ?? ''))) return true;
  }
  return false;
}

async function nameOf(pid: string): Promise<string> {
  const name = await readFile(`/proc/${pid}/comm`, 'utf8').catch(() => '');
  return name.trim() || 'unknown';
}
