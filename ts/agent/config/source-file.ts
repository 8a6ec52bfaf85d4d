/** A configuration file as a value, and where each part of it stands. */
import { extname } from 'node:path';

import { isAlias, isMap, isNode, isScalar, isSeq, LineCounter, type Node, parseDocument, type Document } from 'yaml';

import { messageOf } from '../../base/errors.js';

/** The way to a part of a file: names of fields, and indexes from 0. */
export type PartPath = readonly (string | number)[];

/** A place in a text, both from 1. */
export interface Place {
  readonly line: number;
  readonly column: number;
}

/** A fault of a file. Without a place it concerns the file as a whole. */
export interface FileIssue {
  /** As `managers[0].routes[3].dst`; empty for the file as a whole. */
  readonly path: string;
  readonly message: string;
  readonly place: Place | undefined;
}

/** What a text says; with faults there is no value. */
export interface SourceFile {
  readonly value: unknown;
  readonly issues: readonly FileIssue[];
  /** Where a part is; of a part that is missing, where what should have it is. */
  placeOf(path: PartPath): Place | undefined;
}

/** Reads YAML, or JSON where the file's name ends in `.json`. */
export function parseSource(name: string, text: string): SourceFile {
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false });
  const placeAt = (offset: number): Place => {
    const { line, col } = lines.linePos(offset);
    return { line, column: col };
  };
  const placeOf = (path: PartPath): Place | undefined => {
    const offset = offsetOf(document, path);
    return offset === undefined ? undefined : placeAt(offset);
  };
  if (extname(name) === '.json') {
    const fault = faultOfJson(text);
    // YAML's reader knows the place, where it refuses the text, too.
    const place = document.errors[0] && placeAt(document.errors[0].pos[0]);
    if (fault !== undefined) return { value: undefined, issues: [{ path: '', message: `Not JSON: ${fault}`, place }], placeOf };
  }
  const issues: FileIssue[] = document.errors.map(({ message, pos }) => ({ path: '', message, place: placeAt(pos[0]) }));
  if (issues.length > 0) return { value: undefined, issues, placeOf };
  try {
    return { value: document.toJS(), issues, placeOf };
  } catch (error) {
    // Aliases that multiply without end.
    return { value: undefined, issues: [{ path: '', message: messageOf(error), place: undefined }], placeOf };
  }
}

/** `managers[0].routes[3].dst` */
export function formatPath(path: PartPath): string {
  return path.reduce<string>((text, part) => {
    if (typeof part === 'number') return `${text}[${part}]`;
    return text === '' ? part : `${text}.${part}`;
  }, '');
}

function faultOfJson(text: string): string | undefined {
  try {
    JSON.parse(text);
    return undefined;
  } catch (error) {
    return messageOf(error);
  }
}

/** The offset of a part; of a field, that of its name. */
function offsetOf(document: Document.Parsed, path: PartPath): number | undefined {
  let node: unknown = document.contents;
  let offset = startOf(node);
  for (const part of path) {
    node = isAlias(node) ? node.resolve(document) : node;
    const pair = isMap(node) ? node.items.find(({ key }) => (isScalar(key) ? String(key.value) : String(key)) === String(part)) : undefined;
    const item = isSeq(node) ? node.items[Number(part)] : undefined;
    if (pair === undefined && item === undefined) return offset;
    node = pair === undefined ? item : pair.value;
    offset = startOf(pair === undefined ? item : pair.key) ?? offset;
  }
  return offset;
}

function startOf(node: unknown): number | undefined {
  return isNode(node) ? (node as Node).range?.[0] : undefined;
}
