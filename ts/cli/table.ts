/** Tables of text. */
import type { Paint, Painter } from './paint.js';

export interface Column<Row> {
  readonly title: string;
  readonly text: (row: Row) => string;
  /** Numbers stand at the right. */
  readonly right?: boolean;
  readonly paint?: (row: Row) => Paint | undefined;
}

const GAP = '  ';

/** How wide each column has to be for its title and these rows. */
export function widthsOf<Row>(columns: readonly Column<Row>[], rows: readonly Row[]): number[] {
  return columns.map(({ title, text }) => rows.reduce((width, row) => Math.max(width, lengthOf(text(row))), lengthOf(title)));
}

export function titleLine<Row>(columns: readonly Column<Row>[], widths: readonly number[], width: number): string {
  const cells = columns.map(({ title, right }, index) => padded(title, widths[index] ?? 0, right));
  return cut(cells.join(GAP).trimEnd(), width);
}

/** A row, no wider than `width`: what does not fit is cut off, with "…" at the end. */
export function rowLine<Row>(columns: readonly Column<Row>[], widths: readonly number[], width: number, row: Row, paint: Painter): string {
  let line = '';
  let room = width;
  for (const [index, { text, right, paint: colour }] of columns.entries()) {
    const isLast = index === columns.length - 1;
    const gap = index === 0 ? '' : GAP;
    const content = isLast && right !== true ? text(row) : padded(text(row), widths[index] ?? 0, right);
    const cell = cut(`${gap}${content}`, room);
    room -= lengthOf(cell);
    const shade = colour?.(row);
    line += shade === undefined ? cell : paint(shade, cell);
    if (room <= 0) break;
  }
  return line.trimEnd();
}

/** A table with its title line. Without a `width`, for a file or a pipe, nothing is cut off. */
export function table<Row>(columns: readonly Column<Row>[], rows: readonly Row[], paint: Painter, width = Infinity): string {
  const widths = widthsOf(columns, rows);
  const lines = rows.map((row) => rowLine(columns, widths, width, row, paint));
  return [paint('bold', titleLine(columns, widths, width)), ...lines].map((line) => `${line}\n`).join('');
}

/** Cuts a text to so many characters; "…" says that something is missing. */
export function cut(text: string, width: number): string {
  if (lengthOf(text) <= width) return text;
  return width <= 0
    ? ''
    : `${Array.from(text)
        .slice(0, width - 1)
        .join('')}…`;
}

function padded(text: string, width: number, right = false): string {
  const space = ' '.repeat(Math.max(0, width - lengthOf(text)));
  return right ? `${space}${text}` : `${text}${space}`;
}

function lengthOf(text: string): number {
  return Array.from(text).length;
}
