/** Colours on a terminal. */
export type Paint = 'bold' | 'dim' | 'red' | 'green' | 'yellow' | 'inverse';

export type Painter = (paint: Paint, text: string) => string;

const CODES: Readonly<Record<Paint, number>> = { bold: 1, dim: 2, inverse: 7, red: 31, green: 32, yellow: 33 };

/** Paints where the output is a terminal, unless NO_COLOR is set to anything (https://no-color.org). */
export function painterFor(output: { readonly isTTY?: boolean | undefined }): Painter {
  const hasColour = output.isTTY === true && (process.env['NO_COLOR'] ?? '') === '';
  return (paint, text) => (hasColour ? `\u001b[${CODES[paint]}m${text}\u001b[0m` : text);
}
