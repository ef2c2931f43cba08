/**
 * EventJournal: the events of one mount, numbered, the newest of them kept for whoever asks by `user.dmio.events`.
 *
 * Each is appended to a file in the state directory before it is shown, so that one that happened just before the daemon ended is still
 * told by the next. A journal that cannot be written goes on in memory. Whoever reads remembers (run, seq): `seq` goes on over restarts, and
 * `run` tells two events apart that got the same number because the file was lost.
 */
import { closeSync, openSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { randomUUID } from 'node:crypto';
import { messageOf } from '../errors.js';
import type { EventList, KeptEvent, MirrorSetEvent, Standing } from '../mirror/event.js';

/** Events kept. */
const KEEP = 256;
/** Lines at which the file is written anew with those that are kept. */
const COMPACT = 4 * KEEP;
/** Bytes of the attribute's value: the kernel allows 64 KiB. */
const MOST_BYTES = 60 * 1024;
/** Of these, for what is wrong. */
const MOST_STANDING_BYTES = 20 * 1024;

/** The first of them, in so many bytes. */
function bounded<T>(values: readonly T[], most: number): readonly T[] {
  let bytes = 0;
  return values.filter((value) => {
    bytes += Buffer.byteLength(JSON.stringify(value)) + 1;
    return bytes <= most;
  });
}

function parseLine(line: string): KeptEvent | undefined {
  try {
    const event = JSON.parse(line) as Partial<KeptEvent>;
    const whole = Number.isSafeInteger(event.seq) && typeof event.run === 'string' && 'kind' in event;
    return whole ? (event as KeptEvent) : undefined;
  } catch {
    return undefined; // torn by a power cut
  }
}

export class EventJournal {
  readonly #run = randomUUID().slice(0, 8);
  readonly #file: string | undefined;
  readonly #problem: (message: string) => void;
  #fd: number | undefined;
  #lines = 0;
  #events: KeptEvent[] = [];
  #seq = 0;
  #failed = false;

  private constructor(file: string | undefined, problem: (message: string) => void) {
    this.#file = file;
    this.#problem = problem;
  }

  /** `file` undefined: in memory only. Never throws: events are told whatever the state directory is like. */
  static open(file: string | undefined, problem: (message: string) => void): EventJournal {
    const journal = new EventJournal(file, problem);
    if (file === undefined) return journal;
    try {
      const kept = readFileSync(file, 'utf8')
        .split('\n')
        .flatMap((line) => parseLine(line) ?? []);
      journal.#events = kept.slice(-KEEP);
      journal.#seq = journal.#events.reduce((most, { seq }) => Math.max(most, seq), 0);
    } catch {
      // The first start.
    }
    journal.#guarded(() => {
      journal.#compact();
    });
    return journal;
  }

  append(event: MirrorSetEvent): void {
    this.#seq += 1;
    const kept: KeptEvent = { run: this.#run, seq: this.#seq, time: Date.now(), ...event };
    this.#guarded(() => {
      if (this.#fd === undefined) return;
      // Not writeSync(), which may write a part and not throw. After a failure the last line may be torn.
      writeFileSync(this.#fd, `${this.#failed ? '\n' : ''}${JSON.stringify(kept)}\n`);
      this.#lines += 1;
    });
    this.#events.push(kept);
    if (this.#events.length > KEEP) this.#events.shift();
    if (this.#lines >= COMPACT) {
      this.#guarded(() => {
        this.#compact();
      });
    }
  }

  /** Of one set, or of all. */
  list(set: string | undefined, standing: readonly Standing[] = []): EventList {
    const events: KeptEvent[] = [];
    const wrong = bounded(standing, MOST_STANDING_BYTES);
    let bytes = Buffer.byteLength(JSON.stringify(wrong));
    let first = this.#seq + 1;
    for (const event of [...this.#events].reverse()) {
      const wanted = set === undefined || event.set === set;
      if (wanted) bytes += Buffer.byteLength(JSON.stringify(event)) + 1;
      if (bytes > MOST_BYTES) break;
      if (wanted) events.push(event);
      first = event.seq;
    }
    return {
      version: 1,
      run: this.#run,
      last: this.#seq,
      first,
      events: events.reverse(),
      standing: wrong,
    };
  }

  close(): void {
    if (this.#fd !== undefined) closeSync(this.#fd);
    this.#fd = undefined;
  }

  #compact(): void {
    if (this.#file === undefined) return;
    const text = this.#events.map((event) => `${JSON.stringify(event)}\n`).join('');
    writeFileSync(`${this.#file}.new`, text, { mode: 0o600 });
    renameSync(`${this.#file}.new`, this.#file);
    this.close();
    this.#fd = openSync(this.#file, 'a', 0o600);
    this.#lines = this.#events.length;
  }

  #guarded(write: () => void): void {
    try {
      write();
      this.#failed = false;
    } catch (error) {
      if (!this.#failed) this.#problem(`events are not kept over a restart: ${messageOf(error)}`);
      this.#failed = true;
    }
  }
}
