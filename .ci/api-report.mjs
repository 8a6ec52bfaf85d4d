// `npm run check:api`: compares the public names and types of each entry with the report in test/types/api.
// `npm run check:api -- --update` writes the report: a change of the public surface is reviewed there.
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { Extractor, ExtractorConfig } from '@microsoft/api-extractor';

const ROOT = join(dirname(fileURLToPath(import.meta.url)), '..');
const REPORTS = join(ROOT, 'test', 'types', 'api');
const ENTRIES = ['index', 'protocol', 'sim'];
const mayUpdate = process.argv.includes('--update');

const folder = mkdtempSync(join(tmpdir(), 'route-liveness-api-'));
try {
  const changed = ENTRIES.filter((entry) => !isAsReported(entry));
  if (changed.length > 0) {
    console.error(`The public surface of ${changed.join(', ')} has changed. If that is meant: npm run check:api -- --update`);
    process.exitCode = 1;
  }
} finally {
  rmSync(folder, { recursive: true });
}

function isAsReported(entry) {
  const name = `${entry}.api.md`;
  extract(entry, name);
  const made = readFileSync(join(folder, name), 'utf8');
  const kept = join(REPORTS, name);
  if (existsSync(kept) && readFileSync(kept, 'utf8') === made) return true;
  if (!mayUpdate) {
    console.error(`${kept} differs; it would be:\n${made}`);
    return false;
  }
  mkdirSync(REPORTS, { recursive: true });
  writeFileSync(kept, made);
  return true;
}

function extract(entry, reportFileName) {
  const quiet = { logLevel: 'none' };
  const config = ExtractorConfig.prepare({
    configObject: {
      projectFolder: ROOT,
      mainEntryPointFilePath: join(ROOT, 'dist', `${entry}.d.ts`),
      newlineKind: 'lf',
      compiler: { tsconfigFilePath: join(ROOT, 'ts', 'tsconfig.json') },
      apiReport: { enabled: true, reportFileName, reportFolder: folder, reportTempFolder: join(folder, 'temporary') },
      docModel: { enabled: false },
      dtsRollup: { enabled: false },
      tsdocMetadata: { enabled: false },
      messages: {
        // A type that is used and not exported is shown in the report.
        extractorMessageReporting: { default: quiet, 'ae-forgotten-export': { ...quiet, addToApiReportFile: true } },
        tsdocMessageReporting: { default: quiet },
      },
    },
    configObjectFullPath: undefined,
    packageJsonFullPath: join(ROOT, 'package.json'),
  });
  const messageCallback = (message) => {
    // Among them that the report is new: it is written to an empty folder, and compared here.
    if (message.logLevel === 'info' || message.messageId === 'console-api-report-created') message.handled = true;
  };
  const { succeeded } = Extractor.invoke(config, { localBuild: true, messageCallback });
  if (!succeeded) throw new Error(`the declarations of ${entry} cannot be read`);
}
