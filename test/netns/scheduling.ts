/** Experiments whose result counts only if the machine ran the agents' threads on time. */
import type { Agent } from './agent.js';

const ATTEMPTS = 5;

/**
 * Repeats an experiment until the threads ran on time in it, and then applies its assertions.
 *
 * @param longestMs a turn of an engine that is later than this spoils the experiment
 * @param experiment gives its assertions as a function
 * @param countOthers how often other processes of the experiment, such as a relay, were late so far
 * @throws Error where the threads were late in each of five attempts
 */
export async function whileThreadsRun(
  agents: readonly Agent[],
  longestMs: number,
  experiment: () => Promise<() => void>,
  countOthers: () => Promise<number> = () => Promise.resolve(0),
): Promise<void> {
  const countLate = async (): Promise<number> => (await lateTurns(agents, longestMs)) + (await countOthers());
  for (let attempt = 0; attempt < ATTEMPTS; attempt += 1) {
    const before = await countLate();
    const assert = await experiment();
    if ((await countLate()) > before) continue;
    assert();
    return;
  }
  throw new Error(`threads were late in each of ${ATTEMPTS} attempts: the machine is too busy to tell`);
}

async function lateTurns(agents: readonly Agent[], longestMs: number): Promise<number> {
  const stats = await Promise.all(agents.map((agent) => agent.stats()));
  const late = stats.flatMap(({ turnDelays }) => turnDelays.filter(({ below }) => below > longestMs));
  return late.reduce((sum, { count }) => sum + count, 0);
}
