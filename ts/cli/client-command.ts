/** What the commands that ask an agent have in common: help, and what their failures end with. */
import { type Arguments, clientArguments, UsageError } from './client-arguments.js';
import { CannotAskError } from './control-client.js';
import { EXIT } from './exit-status.js';
import { printable } from './printable.js';

export interface ClientCommand {
  readonly help: string;
  readonly options: Parameters<typeof clientArguments>[1];
  /** Gives the exit status. */
  run(given: Arguments): Promise<number>;
}

/** Runs a command. Gives the exit status; what went wrong is on stderr. */
export async function runClient(command: ClientCommand, args: readonly string[]): Promise<number> {
  // Whoever read the output is gone, such as `head`: nobody is left to be told anything.
  process.stdout.on('error', () => process.exit(EXIT.ok));
  try {
    const given = clientArguments(args, command.options);
    if (!given.help) return await command.run(given);
    process.stdout.write(command.help);
    return EXIT.ok;
  } catch (error) {
    if (!(error instanceof UsageError) && !(error instanceof CannotAskError)) throw error;
    process.stderr.write(`${printable(error.message)}\n`);
    if (error instanceof CannotAskError) return EXIT.cannotAsk;
    process.stderr.write(`\n${command.help}`);
    return EXIT.usage;
  }
}
