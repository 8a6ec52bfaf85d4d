/** A reporter: which engine ran, by what installed the package, what loaded it, and what ran it. */
import type { Reporter, TestModule } from 'vitest/node';

export interface Row {
  /** The package manager. */
  readonly installed: string;
  /** A module system, or a bundler and its format. */
  readonly loaded: string;
  /** A line of Node, or another runtime. */
  readonly ran: string;
  /** The engine. */
  readonly engine: string;
}

declare module 'vitest' {
  interface TaskMeta {
    rows?: Row[];
  }
}

export default class TableReporter implements Reporter {
  onTestRunEnd(modules: readonly TestModule[]): void {
    const rows = modules.flatMap((module) => [...module.children.allTests()].flatMap((test) => test.meta().rows ?? []));
    if (rows.length > 0) console.log(`\n${markdown(rows)}\n`);
  }
}

export function markdown(rows: readonly Row[]): string {
  const columns = [...new Set(rows.map(({ ran }) => ran))].sort();
  const lines = new Map<string, Map<string, string>>();
  for (const { installed, loaded, ran, engine } of rows) {
    const key = `${installed} | ${loaded}`;
    const line = lines.get(key) ?? new Map<string, string>();
    lines.set(key, line.set(ran, engine));
  }
  return [
    `| installed by | loaded as | ${columns.join(' | ')} |`,
    `|${' --- |'.repeat(columns.length + 2)}`,
    ...[...lines].map(([key, cells]) => `| ${key} | ${columns.map((column) => cells.get(column) ?? '').join(' | ')} |`),
  ].join('\n');
}
