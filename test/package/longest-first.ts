/** The order of the files: what takes longest begins first, so that no file runs on while the other workers have nothing left. */
import { basename } from 'node:path';

import { BaseSequencer, type TestSpecification } from 'vitest/node';

/** Those that take the better part of a minute each, the longest first. All others follow in the order that Vitest gives them. */
const LONG = ['bundlers.test.ts', 'node-lines.test.ts', 'typescript.test.ts', 'bad-addons.test.ts', 'newcomer.test.ts'];

export class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const given = await super.sort(files);
    const rank = ({ moduleId }: TestSpecification): number => {
      const index = LONG.indexOf(basename(moduleId));
      return index === -1 ? LONG.length : index;
    };
    return given.toSorted((left, right) => rank(left) - rank(right));
  }
}
