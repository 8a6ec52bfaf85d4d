/** The live view without a terminal: keys and answers go in, lines come out. */
import type { SessionsAnswer, SessionJson } from '../agent/control-api.js';
import type { Painter } from './paint.js';
import { lastDown, sessionColumns } from './session-columns.js';
import { shownState } from './severity.js';
import { summary } from './summary.js';
import { cut, rowLine, titleLine, widthsOf } from './table.js';
import { clock } from './times.js';
import { ORDERS } from './watch-order.js';

export interface Size {
  readonly columns: number;
  readonly rows: number;
}

/** Lines that are no sessions: title, filter, the table's title, and the keys at the bottom. */
const FRAME_LINES = 4;

const KEYS = '↑↓ PgUp PgDn Home End scroll  s sort  r reverse  / filter  n only not Up  Esc all  q quit';

export class WatchView {
  readonly #paint: Painter;
  readonly #address: string;
  #answer: SessionsAnswer | undefined;
  #shown: readonly SessionJson[] = [];
  #failure: { readonly since: number; readonly why: string } | undefined;
  #order = 0;
  #reversed = false;
  #filter = '';
  #onlyNotUp = false;
  #typing = false;
  #first = 0;
  /** How many sessions the last frame had room for. */
  #room = 1;

  constructor(address: string, paint: Painter) {
    this.#address = address;
    this.#paint = paint;
  }

  answered(answer: SessionsAnswer): void {
    this.#answer = answer;
    this.#failure = undefined;
    this.#select();
  }

  /** The agent did not answer: what is shown stays, and the view says since when it is old. */
  failed(why: string, now: number): void {
    this.#failure = { since: this.#failure?.since ?? now, why };
  }

  /** A key, named as `node:readline` names it, or a character. Gives whether the view goes on. */
  key(name: string, character = ''): boolean {
    if (this.#typing) {
      this.#type(name, character);
      return true;
    }
    if (name === 'q') return false;
    this.#command(name === '' ? character : name);
    return true;
  }

  /** What the screen shows: `size.rows` lines, none wider than `size.columns`. */
  frame({ columns, rows }: Size): string[] {
    this.#room = Math.max(1, rows - FRAME_LINES);
    this.#scroll(0);
    const seen = this.#shown.slice(this.#first, this.#first + this.#room);
    const lines = [this.#titleLine(columns), this.#filterLine(columns), ...this.#table(seen, columns)];
    const padding = Array.from({ length: Math.max(0, rows - 1 - lines.length) }, () => '');
    return [...lines, ...padding, this.#paint('dim', cut(KEYS, columns))].slice(0, rows);
  }

  #titleLine(columns: number): string {
    if (this.#failure !== undefined) {
      const { since, why } = this.#failure;
      return this.#paint('red', cut(`No answer since ${clock(since)}: ${why}`, columns));
    }
    if (this.#answer === undefined) return cut(`Asking ${this.#address} …`, columns);
    return this.#paint('bold', cut(`${clock(this.#answer.at)}  ${summary(this.#answer.sessions)}  (${this.#address})`, columns));
  }

  #filterLine(columns: number): string {
    const order = `sorted by ${ORDERS[this.#order]?.name ?? ''}${this.#reversed ? ', reversed' : ''}`;
    const filter = this.#typing ? `filter: ${this.#filter}▏` : this.#filter === '' ? '' : `filter: ${this.#filter}`;
    const last = Math.min(this.#first + this.#room, this.#shown.length);
    const range = this.#shown.length === 0 ? 'no session' : `${this.#first + 1}–${last} of ${this.#shown.length}`;
    const parts = [range, order, ...(this.#onlyNotUp ? ['only not Up'] : []), ...(filter === '' ? [] : [filter])];
    return this.#paint('dim', cut(parts.join('  '), columns));
  }

  #table(seen: readonly SessionJson[], columns: number): string[] {
    const shown = sessionColumns(this.#answer?.sessions ?? [], Date.parse(this.#answer?.at ?? ''));
    const widths = widthsOf(shown, seen);
    const title = this.#paint('inverse', titleLine(shown, widths, columns).padEnd(columns));
    return [title, ...seen.map((session) => rowLine(shown, widths, columns, session, this.#paint))];
  }

  #command(key: string): void {
    switch (key) {
      case 's':
        this.#order = (this.#order + 1) % ORDERS.length;
        break;
      case 'r':
        this.#reversed = !this.#reversed;
        break;
      case 'n':
        this.#onlyNotUp = !this.#onlyNotUp;
        break;
      case '/':
        this.#typing = true;
        return;
      case 'escape':
        this.#filter = '';
        this.#onlyNotUp = false;
        break;
      default:
        this.#scroll(this.#distance(key));
        return;
    }
    this.#first = 0;
    this.#select();
  }

  #distance(key: string): number {
    const distances: Readonly<Record<string, number>> = {
      up: -1,
      k: -1,
      down: 1,
      j: 1,
      pageup: -this.#room,
      pagedown: this.#room,
      space: this.#room,
      home: -Infinity,
      end: Infinity,
    };
    return distances[key] ?? 0;
  }

  /** The last page stays full. */
  #scroll(distance: number): void {
    this.#first = Math.max(0, Math.min(this.#first + distance, this.#shown.length - this.#room));
  }

  #type(name: string, character: string): void {
    if (name === 'return' || name === 'enter') this.#typing = false;
    else if (name === 'escape') [this.#typing, this.#filter] = [false, ''];
    else if (name === 'backspace') this.#filter = this.#filter.slice(0, -1);
    else if (/^[\x20-\x7e]$/.test(character)) this.#filter += character;
    this.#first = 0;
    this.#select();
  }

  #select(): void {
    const { compare } = ORDERS[this.#order] ?? ORDERS[0];
    const wanted = this.#filter.toLowerCase();
    const shown = (this.#answer?.sessions ?? []).filter(
      (session) => (!this.#onlyNotUp || session.liveness_status !== 'up') && (wanted === '' || textOf(session).includes(wanted)),
    );
    shown.sort(this.#reversed ? (first, second) => compare(second, first) : compare);
    this.#shown = shown;
  }
}

/** What a filter looks in. */
function textOf(session: SessionJson): string {
  const { manager, peer_ip, local_ip, iface, routes } = session;
  return [shownState(session), manager, peer_ip, local_ip, iface, lastDown(session), ...routes].join(' ').toLowerCase();
}
