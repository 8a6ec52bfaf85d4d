/**
 * What a BFD session keeps beyond what the sessions of all protocols keep: diagnostics, Poll, role, what stops its packets,
 * authentication.
 */
import type { InvalidReason } from '../packet.js';
import type { Sending, Specifics } from '../specifics.js';
import type { DownReason, State } from '../state.js';
import { Authentication } from './authentication/authentication.js';
import { type Diagnostic, DIAGNOSTIC_COUNT, diagnosticOf, diagnosticToWire, MOST_DIAGNOSTIC } from './diagnostic.js';
import type { BfdSessionOptions } from './options.js';
import type { BfdPacket } from './packet.js';
import { Poll } from './poll.js';

export class BfdSpecifics implements Specifics<BfdPacket> {
  readonly #localDiscr: number;
  readonly #poll = new Poll();
  #isPassive: boolean;
  #authentication: Authentication | undefined;
  #localDiagnostic: Diagnostic = 'none';
  #remoteDiag = 0;
  #remoteState: State = 'down';
  /** The peer wants no periodic packets while both sides are Up. */
  #remoteDemand = false;
  /** The peer's Required Min RX Interval is 0. */
  #remoteReceivesNothing = false;
  #owesFinal = false;

  constructor(options: BfdSessionOptions | undefined, localDiscr: number) {
    this.#localDiscr = localDiscr;
    this.#isPassive = options?.passive ?? false;
    this.#authentication = this.#authenticationWith(options);
  }

  /** Why our session last changed its state (bfd.LocalDiag). */
  get localDiagnostic(): Diagnostic {
    return this.#localDiagnostic;
  }

  get localDiag(): number {
    return diagnosticToWire(this.#localDiagnostic);
  }

  get remoteDiag(): number {
    return this.#remoteDiag;
  }

  get polling(): boolean {
    return this.#poll.isActive;
  }

  get authKeyId(): number | undefined {
    return this.#authentication?.keyId;
  }

  /** Writes a packet that is sent at `now`, with its authentication section. */
  write(packet: BfdPacket, now: number): Uint8Array {
    if (packet.poll) this.#poll.sent();
    return this.#authentication === undefined ? packet.marshal() : this.#authentication.sign(packet, now);
  }

  setOptions(options: BfdSessionOptions | undefined): void {
    this.#isPassive = options?.passive ?? false;
    const auth = options?.auth;
    if (this.#authentication !== undefined && auth !== undefined && auth.keys.length > 0) this.#authentication.setKeys(auth);
    else this.#authentication = this.#authenticationWith(options);
  }

  authenticate(packet: BfdPacket, arrival: number, detectTimeUs: number): InvalidReason | undefined {
    if (this.#authentication === undefined) return packet.isAuthenticated ? 'unexpected_auth' : undefined;
    if (!packet.isAuthenticated) return 'missing_auth';
    return this.#authentication.verify(packet, arrival, detectTimeUs) ? undefined : 'bad_auth';
  }

  apply(packet: BfdPacket): boolean {
    const diag = diagnosticToWire(packet.diagnostic);
    // One number stands for all reserved ones, as in the native engine.
    this.#remoteDiag = diag < DIAGNOSTIC_COUNT ? diag : MOST_DIAGNOSTIC;
    this.#remoteState = packet.state;
    this.#remoteDemand = packet.demand;
    this.#remoteReceivesNothing = packet.requiredMinRxUs === 0;
    this.#owesFinal = packet.poll;
    return packet.final && this.#poll.answered();
  }

  takeAnswer(): boolean {
    const owes = this.#owesFinal;
    this.#owesFinal = false;
    return owes;
  }

  entered(to: State, reason: DownReason): void {
    if (to === 'up') {
      this.#localDiagnostic = 'none';
      // RFC 5880 §6.8.3: the Desired Min TX Interval is another one since.
      this.#poll.begin();
    } else if (to !== 'init') {
      // In Init the peer still reads why the session was Down.
      this.#localDiagnostic = diagnosticOf(reason);
      this.#poll.end();
    }
  }

  /** In Down no interval is agreed: the Poll at the beginning of Up agrees them. */
  intervalsChanged(state: State): void {
    if (state === 'init' || state === 'up') this.#poll.begin();
  }

  /** RFC 5880 §6.8.7. */
  sending(state: State, knowsPeer: boolean): Sending {
    if (this.#isPassive && !knowsPeer) return 'nothing';
    const bothAreUp = state === 'up' && this.#remoteState === 'up';
    const isSilenced = this.#remoteReceivesNothing || (this.#remoteDemand && bothAreUp && !this.#poll.isActive);
    return isSilenced ? 'announcements' : 'periodic';
  }

  #authenticationWith(options: BfdSessionOptions | undefined): Authentication | undefined {
    const auth = options?.auth;
    return auth === undefined || auth.keys.length === 0 ? undefined : new Authentication(auth, this.#localDiscr);
  }
}
