/** What the README shows of the command line, written from a real run. */
import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const README = fileURLToPath(new URL('../../README.md', import.meta.url));
const MARKS = { begin: '<!-- captures:begin -->', end: '<!-- captures:end -->' };

/** What a person typed, and what the terminal showed. */
export interface Capture {
  readonly command: string;
  readonly output: string;
}

/** Replaces the captures of the README. */
export function writeCaptures(captures: readonly Capture[]): void {
  const text = readFileSync(README, 'utf8');
  const [before, rest] = text.split(MARKS.begin);
  const [, after] = rest?.split(MARKS.end) ?? [];
  if (before === undefined || after === undefined) throw new Error(`README.md lacks ${MARKS.begin} or ${MARKS.end}`);
  const blocks = captures.map(({ command, output }) => `\`\`\`text\n$ ${command}\n${output.trimEnd()}\n\`\`\`\n`);
  writeFileSync(README, `${before}${MARKS.begin}\n\n${blocks.join('\n')}\n${MARKS.end}${after}`);
}

/** The first lines and the last one, with "…" for those between. */
export function shortened(text: string, lines: number): string {
  const all = text.trimEnd().split('\n');
  return all.length <= lines + 1 ? text : [...all.slice(0, lines), '…', all.at(-1)].join('\n');
}
