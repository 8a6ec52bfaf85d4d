/** The pages that users read, and the programs in them. */
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';

export const ROOT = fileURLToPath(new URL('../../', import.meta.url));

const FOLDERS = ['.', 'docs', 'bench', '.github'];

export interface Page {
  /** From the root of the repository. */
  readonly path: string;
  readonly text: string;
}

export function pages(): Page[] {
  const files = FOLDERS.flatMap((folder) => readdirSync(join(ROOT, folder)).map((name) => join(folder, name)));
  return files.filter((path) => path.endsWith('.md')).map((path) => page(path));
}

export function page(path: string): Page {
  return { path, text: readFileSync(join(ROOT, path), 'utf8') };
}

/** The JavaScript samples of a page, in their order: together they are one program. */
export function samplesOf({ text }: Page): string[] {
  return [...text.matchAll(/^```js\n([\s\S]*?)^```/gm)].map((match) => match[1] ?? '');
}

/** The names that the headings of a page can be linked by, made as GitHub makes them. */
export function anchorsOf({ text }: Page): Set<string> {
  const headings = [...withoutCode(text).matchAll(/^#{1,6} (.*)$/gm)].map((match) => match[1] ?? '');
  return new Set(
    headings.map((heading) =>
      heading
        .toLowerCase()
        .replace(/[^\p{L}\p{N}\- ]/gu, '')
        .replaceAll(' ', '-'),
    ),
  );
}

/** The links of a page that lead into the repository, resolved: a path from the root, and the heading where one is named. */
export function linksOf({ path, text }: Page): { path: string; anchor: string | undefined }[] {
  const targets = [...withoutCode(text).matchAll(/\]\(([^)\s]+)\)/g)].map((match) => match[1] ?? '');
  return targets
    .filter((target) => !/^[a-z]+:/.test(target))
    .map((target) => {
      const [file = '', anchor] = target.split('#');
      return { path: file === '' ? path : relative(ROOT, join(ROOT, dirname(path), file)), anchor };
    });
}

function withoutCode(text: string): string {
  return text.replace(/^```[\s\S]*?^```/gm, '').replace(/`[^`\n]*`/g, (code) => code.replace(/[[\]()]/g, ''));
}
