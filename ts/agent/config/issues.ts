/** Collects the faults of a configuration file, so that all of them are told at once. */
import { type ConfigIssue, LivenessError } from '../../base/errors.js';
import { type FileIssue, formatPath, type PartPath, type Place, type SourceFile } from './source-file.js';

/** `ERR_CONFIG`: all faults of a configuration file, each with its line and column. */
export class ConfigFileError extends LivenessError {
  readonly file: string;
  readonly issues: readonly FileIssue[];

  constructor(file: string, issues: readonly FileIssue[], options?: { cause?: unknown }) {
    const lines = issues.map((issue) => formatIssue(file, issue));
    super('ERR_CONFIG', lines.join('\n'), options);
    this.file = file;
    this.issues = issues;
  }
}

/** `agent.yaml:12:7: managers[0].routes[3].dst: Expected `dst` to be …` */
export function formatIssue(file: string, { path, message, place }: FileIssue): string {
  const where = place === undefined ? file : `${file}:${place.line}:${place.column}`;
  return [where, ...(path === '' ? [] : [path]), message].join(': ');
}

export class Issues {
  readonly #source: SourceFile;
  readonly #found: FileIssue[] = [];
  readonly #warnings: FileIssue[] = [];

  constructor(source: SourceFile) {
    this.#source = source;
  }

  /** In the order of the file. */
  get found(): readonly FileIssue[] {
    return inOrder(this.#found);
  }

  /** What is allowed, and probably not meant. */
  get warnings(): readonly FileIssue[] {
    return inOrder(this.#warnings);
  }

  add(path: PartPath, message: string): void {
    this.#found.push({ path: formatPath(path), message, place: this.#source.placeOf(path) });
  }

  warn(path: PartPath, message: string): void {
    this.#warnings.push({ path: formatPath(path), message, place: this.#source.placeOf(path) });
  }

  /** Faults whose paths begin at a part of the file. */
  addAll(base: PartPath, issues: readonly ConfigIssue[]): void {
    for (const { path, message } of issues) this.add([...base, ...partsOf(path)], message);
  }

  placeOf(path: PartPath): Place | undefined {
    return this.#source.placeOf(path);
  }
}

function partsOf(path: string): PartPath {
  return path === '' ? [] : path.split('.').map((part) => (/^\d+$/.test(part) ? Number(part) : part));
}

function inOrder(issues: readonly FileIssue[]): readonly FileIssue[] {
  const byPlace = ({ place: left }: FileIssue, { place: right }: FileIssue): number => {
    return (left?.line ?? 0) - (right?.line ?? 0) || (left?.column ?? 0) - (right?.column ?? 0);
  };
  return [...issues].sort(byPlace);
}
