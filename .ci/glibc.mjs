// Which glibc the addons may need, and which one needs.
import { readFileSync } from 'node:fs';

/** Debian 11 and everything later; RHEL 7. */
export const GLIBC = '2.17';

/** The newest glibc that the addon names; empty where it names none, as one for musl. */
export function glibcOf(file) {
  const versions = readFileSync(file, 'latin1').match(/GLIBC_2\.\d+/g) ?? [];
  return versions.sort((first, second) => minorOf(first) - minorOf(second)).at(-1) ?? '';
}

export function isTooNew(version) {
  return version !== '' && minorOf(version) > minorOf(GLIBC);
}

function minorOf(version) {
  return Number(version.split('.')[1]);
}
