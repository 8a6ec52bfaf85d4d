/** The commands of the command line. */
export interface Command {
  readonly name: string;
  /** One line of the help. */
  readonly summary: string;
  /** Runs the command with the arguments behind its name. Returns the exit status. */
  run(args: readonly string[]): Promise<number>;
}
