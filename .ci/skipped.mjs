// A reporter of vitest's: how many tests were skipped, by why. A suite that cannot run here says so at the end of its title.
export default class {
  onTestRunEnd(modules) {
    const counts = new Map();
    for (const module of modules) {
      for (const test of module.children.allTests('skipped')) {
        const reason = reasonOf(test);
        counts.set(reason, (counts.get(reason) ?? 0) + 1);
      }
    }
    for (const [reason, count] of counts) console.log(`${count} skipped: ${reason}`);
  }
}

function reasonOf(test) {
  for (let task = test; task !== undefined; task = task.parent) {
    const reason = /\(skipped: (.*)\)$/.exec(task.name ?? '')?.[1];
    if (reason !== undefined) return reason;
  }
  return `no reason given (${test.module.relativeModuleId})`;
}
