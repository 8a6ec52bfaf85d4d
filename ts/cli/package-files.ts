/** Files of this package, wherever it is installed. */
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The root of the package: the nearest folder above with a package.json. */
export function packageRoot(): string {
  let folder = dirname(fileURLToPath(import.meta.url));
  while (!existsSync(join(folder, 'package.json'))) {
    if (dirname(folder) === folder) throw new Error('The package of this program has no package.json: install it again');
    folder = dirname(folder);
  }
  return folder;
}

/** The text of a file, by its path from the root of the package. */
export function packageFile(...path: string[]): string {
  return readFileSync(join(packageRoot(), ...path), 'utf8');
}
