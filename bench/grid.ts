/** Which sessions two hosts have with each other: a grid of addresses, so that neither side has one address for each. */

export type Side = 1 | 2;

/** One session as one of its sides sees it, and the route that depends on it. */
export interface GridSession {
  readonly localIP: string;
  readonly peerIP: string;
  readonly dst: string;
}

/** So many addresses has each side. */
export function addressCount(sessions: number): number {
  return Math.ceil(Math.sqrt(sessions));
}

/** The addresses of a side. */
export function addressesOf(side: Side, sessions: number): string[] {
  return Array.from({ length: addressCount(sessions) }, (_, index) => address(side, index));
}

/** The sessions of a side; those of the same index belong together. */
export function grid(side: Side, sessions: number): GridSession[] {
  const width = addressCount(sessions);
  const other = side === 1 ? 2 : 1;
  return Array.from({ length: sessions }, (_, index) => {
    const [first, second] = [index % width, Math.floor(index / width)];
    const [own, theirs] = side === 1 ? [first, second] : [second, first];
    return { localIP: address(side, own), peerIP: address(other, theirs), dst: `10.${100 + other}.${index >> 8}.${index & 255}/32` };
  });
}

/** The network that all addresses of a side lie in. */
export function networkOf(side: Side): string {
  return `10.${side}.0.0/16`;
}

function address(side: Side, index: number): string {
  // Neither .0 nor .255: some tools take them for networks and broadcasts.
  return `10.${side}.${Math.floor(index / 200)}.${(index % 200) + 1}`;
}
