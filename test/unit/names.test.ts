import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

import * as promClient from 'prom-client';
import ts from 'typescript';
import { describe, expect, it } from 'vitest';

const ROOT = join(import.meta.dirname, '../../ts');

/** The names that files of ts/ declare and export, each with its files. Re-exports are no declarations. */
function exportedNames(): Map<string, Set<string>> {
  const names = new Map<string, Set<string>>();
  for (const file of readdirSync(ROOT, { recursive: true, encoding: 'utf8' }).filter((path) => path.endsWith('.ts'))) {
    const source = ts.createSourceFile(file, readFileSync(join(ROOT, file), 'utf8'), ts.ScriptTarget.Latest);
    for (const statement of source.statements) {
      for (const name of declared(statement)) names.set(name, (names.get(name) ?? new Set()).add(file));
    }
  }
  return names;
}

function declared(statement: ts.Statement): string[] {
  const isExported = ts.canHaveModifiers(statement) && ts.getModifiers(statement)?.some(({ kind }) => kind === ts.SyntaxKind.ExportKeyword);
  if (isExported !== true) return [];
  if (ts.isVariableStatement(statement)) {
    return statement.declarationList.declarations.flatMap(({ name }) => (ts.isIdentifier(name) ? [name.text] : []));
  }
  const { name } = statement as ts.ClassDeclaration | ts.InterfaceDeclaration | ts.TypeAliasDeclaration | ts.FunctionDeclaration;
  return name === undefined ? [] : [name.text];
}

describe('the names that ts/ exports', () => {
  const names = exportedNames();

  it('each belong to one file', () => {
    expect(names.size).toBeGreaterThan(100);
    const shared = [...names].filter(([, files]) => files.size > 1).map(([name, files]) => `${name}: ${[...files].join(', ')}`);
    expect(shared).toEqual([]);
  });

  it('are none that prom-client exports', () => {
    const theirs = Object.keys(promClient).filter((name) => /^[A-Z]/.test(name));
    expect(theirs.filter((name) => names.has(name))).toEqual([]);
  });
});
