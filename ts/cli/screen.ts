/** The whole of a terminal, lent to a program, and given back as it was. */
import { writeSync } from 'node:fs';
import { emitKeypressEvents } from 'node:readline';

import type { Size } from './watch-view.js';

/** The alternate screen without cursor; and back. */
const ENTER = '\u001b[?1049h\u001b[?25l\u001b[2J';
const LEAVE = '\u001b[?25h\u001b[?1049l';
/** A terminal that knows it shows a frame at once (synchronized output). */
const FRAME = { begin: '\u001b[?2026h', end: '\u001b[?2026l' };

interface Key {
  readonly name?: string;
  readonly ctrl?: boolean;
}

export interface ScreenEvents {
  /** A key that is pressed: its name, if it has one, and the character. */
  key(name: string, character: string): void;
  /** The size has changed, or the terminal is ours again: everything is to be drawn. */
  redraw(): void;
  /** Ctrl-C, or a signal that ends the program. */
  end(): void;
}

export class Screen {
  readonly #events: ScreenEvents;
  readonly #undo: (() => void)[] = [];
  #lines: readonly string[] = [];
  #isOurs = false;

  constructor(events: ScreenEvents) {
    this.#events = events;
  }

  open(): void {
    emitKeypressEvents(process.stdin);
    this.#listen(process.stdin, 'keypress', (character: string | undefined, key: Key) => this.#pressed(character, key));
    this.#listen(process.stdin, 'end', () => this.#events.end());
    this.#listen(process.stdout, 'resize', () => this.#redraw());
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) this.#listen(process, signal, () => this.#events.end());
    this.#listen(process, 'SIGCONT', () => this.#take());
    // However the process ends: an error that nobody catches, too.
    this.#listen(process, 'exit', () => this.#giveBack());
    this.#take();
    process.stdin.resume();
  }

  get size(): Size {
    const { columns, rows } = process.stdout;
    // A terminal that does not know its size says 0.
    return columns > 0 && rows > 0 ? { columns, rows } : { columns: 80, rows: 24 };
  }

  /** Writes the lines that differ from the last frame. */
  draw(lines: readonly string[]): void {
    if (!this.#isOurs) return;
    const changed = lines.flatMap((line, row) => (line === this.#lines[row] ? [] : [`\u001b[${row + 1};1H${line}\u001b[K`]));
    this.#lines = lines;
    if (changed.length > 0) process.stdout.write(`${FRAME.begin}${changed.join('')}${FRAME.end}`);
  }

  close(): void {
    this.#giveBack();
    for (const undo of this.#undo.splice(0)) undo();
    process.stdin.pause();
  }

  #pressed(character: string | undefined, { name = '', ctrl = false }: Key): void {
    if (ctrl && name === 'c') this.#events.end();
    else if (ctrl && name === 'z') this.#suspend();
    else if (ctrl && name === 'l') this.#redraw();
    else if (!ctrl) this.#events.key(name, character ?? '');
  }

  #suspend(): void {
    this.#giveBack();
    process.kill(process.pid, 'SIGTSTP');
  }

  #take(): void {
    process.stdin.setRawMode(true);
    process.stdout.write(ENTER);
    this.#isOurs = true;
    this.#redraw();
  }

  #redraw(): void {
    this.#lines = [];
    this.#events.redraw();
  }

  /** Synchronous, so that it is done when the process ends. */
  #giveBack(): void {
    if (!this.#isOurs) return;
    this.#isOurs = false;
    try {
      writeSync(process.stdout.fd, LEAVE);
      process.stdin.setRawMode(false);
    } catch {
      // The terminal is gone: there is nothing to give back.
    }
  }

  #listen(emitter: NodeJS.EventEmitter, event: string, listener: (...values: never[]) => void): void {
    const heard = listener as (...values: unknown[]) => void;
    emitter.on(event, heard);
    this.#undo.push(() => emitter.off(event, heard));
  }
}
