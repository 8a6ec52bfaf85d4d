/** What every section is given: how much to measure, and where to say how far it is. */
export interface Context {
  /** So often is everything measured; the median counts. */
  readonly runs: number;
  /** How long a load is watched, in seconds. */
  readonly seconds: number;
  readonly quick: boolean;
  /** Sessions and intervals to measure the cost of, where the caller names them. */
  readonly loads: readonly { readonly sessions: number; readonly intervalMs: number }[] | undefined;
  progress(what: string): void;
  pause(milliseconds: number): Promise<void>;
}
