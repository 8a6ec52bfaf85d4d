/** What `programs/up.mjs` printed: the engine on which a session came Up. */
import type { TestContext } from 'vitest';
import { expect } from 'vitest';

import type { Row } from './table.js';

/** Holds the program's output to the engine that is expected, and notes it for the table. */
export function expectUp(context: TestContext, output: string, row: Omit<Row, 'engine'>, expected: 'native' | 'js' = 'native'): void {
  const engine = /^Up on (native|js), /m.exec(output)?.[1];
  expect(engine, output).toBe(expected);
  (context.task.meta.rows ??= []).push({ ...row, engine: expected });
}
