/** A daemon of another project that speaks BFD with us. */
import type { BfdPath } from './paths.js';

/** In milliseconds. */
export interface Timers {
  readonly tx: number;
  readonly rx: number;
  readonly multiplier: number;
}

export const TIMERS: Timers = { tx: 50, rx: 50, multiplier: 3 };

/** What the daemon is configured with: a session for each path. */
export interface Neighbours {
  readonly paths: readonly BfdPath[];
  readonly timers: Timers;
  /** The daemon sends nothing before it hears its peers (RFC 5880 §6.1). Default: false. */
  readonly passive?: boolean;
  readonly auth?: { readonly type: string; readonly keys: readonly { readonly id: number; readonly key: string }[] } | undefined;
}

/** What the daemon says of a session. Times are in milliseconds. */
export interface DaemonSession {
  readonly peer: string;
  readonly state: string;
  readonly txInterval: number;
  readonly detectTime: number;
  readonly localDiag?: string;
  readonly remoteDiag?: string;
}

export interface PeerDaemon {
  readonly name: string;
  /** The processes that run its sessions. */
  readonly pids: readonly number[];
  /** Also after `kill`. */
  start(neighbours: Neighbours): Promise<void>;
  sessions(): DaemonSession[];
  /** Changes the timers or the keys of its sessions while they go on. */
  change(neighbours: Neighbours): Promise<void>;
  /** Ends it as a crash would. */
  kill(): Promise<void>;
  /** Takes all its sessions out of service, which it tells its peers, and back; not there where it cannot. */
  readonly admin?: { down(): void; up(): void };
  close(): Promise<void>;
}
