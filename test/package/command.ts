/** Commands that are run to their end. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';

export interface Options {
  readonly cwd?: string;
  readonly env?: NodeJS.ProcessEnv;
}

export interface Ending {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

const PATIENCE_MS = 300_000;

/** What the command printed; it must succeed. */
export async function run(program: string, args: readonly string[], options: Options = {}): Promise<string> {
  const { code, signal, stdout, stderr } = await end(program, args, options);
  if (code === 0) return stdout;
  throw new Error(`${program} ${args.join(' ')} ended with ${code ?? signal ?? 'nothing'}:\n${stdout}${stderr}`);
}

/** How the command ended. */
export async function end(program: string, args: readonly string[], options: Options = {}): Promise<Ending> {
  const child = spawn(program, args, { ...options, stdio: ['ignore', 'pipe', 'pipe'], timeout: PATIENCE_MS });
  let [stdout, stderr] = ['', ''];
  child.stdout.on('data', (chunk: Buffer) => (stdout += chunk.toString()));
  child.stderr.on('data', (chunk: Buffer) => (stderr += chunk.toString()));
  const [code, signal] = (await once(child, 'close')) as [number | null, NodeJS.Signals | null];
  return { code, signal, stdout, stderr };
}
