/** What the measured program obeys: the border between `endpoint-program.ts` and `endpoint.ts`. */
import type { ManagerConfig, Peer } from '../ts/index.js';
import type { Side } from './grid.js';

export interface Histogrammed {
  readonly below: number;
  readonly count: number;
}

/** Counters and costs of one endpoint at one moment. */
export interface Counts {
  readonly tx: number;
  readonly rx: number;
  /** User and system time of the whole process, in microseconds. */
  readonly cpuUs: number;
  /** CLOCK_MONOTONIC in microseconds. */
  readonly nowUs: number;
}

export interface Sample extends Counts {
  readonly up: number;
  readonly extensions: number;
  readonly timeouts: number;
  readonly localTimeouts: number;
  readonly localRemoteDowns: number;
  /** How often a session went Down from Up. */
  readonly leftUp: number;
  readonly writeErrors: number;
  readonly turns: number;
  readonly socketDrops: number;
  readonly worstTurnDelay: number;
  readonly turnDelays: readonly Histogrammed[];
  readonly transmitDelays: readonly Histogrammed[];
}

export interface Registering {
  readonly side: Side;
  /** The grid has so many sessions, of which these are registered: from the one of this index on, and how many. */
  readonly gridSize: number;
  readonly from: number;
  readonly count: number;
  readonly iface: string;
  readonly table: number;
  /** The peers' UDP port. */
  readonly port?: number;
  /** All routes depend on the first session. */
  readonly shared?: boolean;
  /** All routes have a backup. */
  readonly backup?: boolean;
  /** Answers when each session has sent its first packet. */
  readonly waitForTx?: boolean;
}

export interface Starting {
  /** `objects`: in the kernel, on next-hop objects. */
  readonly routes: 'kernel' | 'objects' | 'memory';
  readonly config: Omit<ManagerConfig, 'netlinker'>;
}

export interface Transitions {
  /** From any state but AdminDown to Down. */
  readonly toDown: number;
  readonly fromUp: number;
  /** From the last packet's arrival to the Down, in milliseconds. */
  readonly silences: readonly number[];
  readonly lastDownAt: number;
}

export interface Operation {
  readonly op: string;
  readonly ok: boolean;
  /** From the transition to the kernel's answer, in milliseconds. */
  readonly duration: number;
  readonly at: number;
}

export interface EndpointMethods {
  start(config: Starting): Promise<string>;
  /** How long it took, in milliseconds: until the call was answered, and until each session had sent. */
  register(what: Registering): Promise<{ accepted: number; sent: number }>;
  withdraw(what: Registering): Promise<number>;
  /** Registers sessions without routes. */
  watch(peers: readonly Peer[]): Promise<void>;
  sample(): Sample;
  block(milliseconds: number): void;
  collectGarbage(): void;
  /** Of the process, and of JavaScript's heap with what it keeps in hand. */
  holdings(): { residentBytes: number; heapBytes: number };
  takeTransitions(): Transitions;
  takeOperations(): Operation[];
  /** How many sessions of a predecessor go on. */
  resumed(): number;
  /** The longest time between two packets of any session since it came Up, in milliseconds. */
  worstGap(): number;
  close(): Promise<void>;
}
