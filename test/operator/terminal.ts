/** A terminal that a test types into and reads: a tmux server of its own. */
import { spawnSync } from 'node:child_process';

const PATIENCE_MS = 20_000;

let count = 0;

export class Terminal {
  readonly #name: string;

  /** A shell in a terminal of this size. */
  constructor({ columns, rows, env = {} }: { columns: number; rows: number; env?: Record<string, string> }) {
    count += 1;
    this.#name = `rl-${process.pid}-${count}`;
    const variables = Object.entries({ ...env, PS1: '$ ' }).flatMap(([name, value]) => ['-e', `${name}=${value}`]);
    this.#tmux('-f', '/dev/null', 'new-session', '-d', '-x', `${columns}`, '-y', `${rows}`, ...variables, 'sh');
  }

  /** Keys by the names of tmux: `PageDown`, `Enter`, `C-c`. */
  press(...keys: string[]): void {
    this.#tmux('send-keys', ...keys);
  }

  type(text: string): void {
    this.#tmux('send-keys', '-l', text);
  }

  /** The lines that are on the screen; with `colours` their escape sequences, too. */
  screen({ colours = false }: { colours?: boolean } = {}): string {
    return this.#tmux('capture-pane', '-p', ...(colours ? ['-e'] : []));
  }

  resize(columns: number, rows: number): void {
    this.#tmux('resize-window', '-x', `${columns}`, '-y', `${rows}`);
  }

  /** Whether a program has the alternate screen, and whether the cursor can be seen. */
  get state(): { alternate: boolean; cursor: boolean } {
    const [alternate, cursor] = this.#tmux('display-message', '-p', '#{alternate_on} #{cursor_flag}').trim().split(' ');
    return { alternate: alternate === '1', cursor: cursor === '1' };
  }

  /** The screen, once it is as expected. */
  async until(fits: (screen: string) => boolean): Promise<string> {
    const deadline = Date.now() + PATIENCE_MS;
    for (;;) {
      const screen = this.screen();
      if (fits(screen)) return screen;
      if (Date.now() > deadline) throw new Error(`the screen shows:\n${screen}`);
      await new Promise((resolve) => setTimeout(resolve, 30));
    }
  }

  close(): void {
    spawnSync('tmux', ['-L', this.#name, 'kill-server'], { stdio: 'ignore' });
  }

  #tmux(...args: string[]): string {
    const { error, status, stdout, stderr } = spawnSync('tmux', ['-L', this.#name, ...args], { encoding: 'utf8' });
    if (error !== undefined || status !== 0) throw new Error(`tmux ${args.join(' ')}: ${error?.message ?? stderr}`);
    return stdout;
  }
}
