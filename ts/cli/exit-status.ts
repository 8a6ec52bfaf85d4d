/** What the commands that ask an agent end with. */
export const EXIT = {
  /** What was asked for was done; for `status`: everything that is watched is Up. */
  ok: 0,
  /** Something that is watched is not Up, or nothing is watched by the name that was asked for. */
  notUp: 1,
  /** The command line is wrong. */
  usage: 2,
  /** The agent could not be asked: no answer, no access, or an answer of something else. */
  cannotAsk: 3,
} as const;
