// Sums the results of all test runners, prints `N passed, N failed, N skipped` as the last line, and fails where
// anything failed: a test, a section of the run, or, under CI, a test between namespaces or processes that was skipped.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

const [folder, failedSections] = process.argv.slice(2);
const total = { passed: 0, failed: 0, skipped: 0 };

function add(counts) {
  for (const name of Object.keys(total)) total[name] += counts[name];
}

function readIfThere(name) {
  try {
    return readFileSync(join(folder, name), 'utf8');
  } catch {
    return '';
  }
}

function countRust(text) {
  const lines = [...text.matchAll(/^test result: \w+\. (\d+) passed; (\d+) failed; (\d+) ignored;/gm)];
  for (const [, passed, failed, skipped] of lines) add({ passed: Number(passed), failed: Number(failed), skipped: Number(skipped) });
  return lines.length > 0;
}

function countNode(text) {
  if (text === '') return false;
  const report = JSON.parse(text);
  add({ passed: report.numPassedTests, failed: report.numFailedTests, skipped: report.numPendingTests + report.numTodoTests });
  // A file that cannot be loaded has no tests to fail.
  add({
    passed: 0,
    failed: report.testResults.filter((file) => file.status === 'failed' && file.assertionResults.length === 0).length,
    skipped: 0,
  });
  for (const file of report.testResults.filter((it) => /\/test\/(netns|process)\//.test(it.name))) {
    const skipped = file.assertionResults.filter((it) => it.status !== 'passed' && it.status !== 'failed').length;
    if (skipped > 0 && process.env.CI) {
      console.log(`${skipped} tests of ${file.name} were skipped: under CI that is a failure`);
      add({ passed: 0, failed: skipped, skipped: -skipped });
    }
  }
  return true;
}

for (const [runner, counted] of [
  ['cargo test', countRust(readIfThere('rust.txt'))],
  ['vitest', countNode(readIfThere('node.json'))],
  ['vitest of the package', countNode(readIfThere('package.json'))],
]) {
  if (counted) continue;
  console.log(`${runner} gave no counts`);
  add({ passed: 0, failed: 1, skipped: 0 });
}
if (Number(failedSections) > 0) {
  console.log(`${failedSections} sections failed`);
  if (total.failed === 0) total.failed = Number(failedSections);
}
process.exitCode = total.failed > 0 ? 1 : 0;
console.log(`${total.passed} passed, ${total.failed} failed, ${total.skipped} skipped`);
