/** Reads the table line of a kernel dm-mirror (dm-table.ts), and says at which column what the kernel would refuse. */
import { DmiofsError } from '../errors.js';
import { DM_LEGS, type DmLeg, type DmLog, type DmLogSync, type DmTable } from './dm-table.js';

const MIN_REGION_SECTORS = 2;

/** A table line that the kernel would refuse. */
export class DmTableError extends DmiofsError {
  /** Where in the line, from 1. */
  readonly column: number;

  constructor(column: number, message: string) {
    super('ERR_DMIOFS_TABLE', `column ${String(column)}: ${message}`);
    this.name = 'DmTableError';
    this.column = column;
  }
}

interface Word {
  readonly text: string;
  readonly column: number;
}

/** The words of a line, taken one after the other. */
class Words {
  readonly #words: readonly Word[];
  readonly #end: number;
  #at = 0;

  constructor(words: readonly Word[], end: number) {
    this.#words = words;
    this.#end = end;
  }

  get left(): number {
    return this.#words.length - this.#at;
  }

  next(what: string): Word {
    const word = this.#words[this.#at];
    if (word === undefined) throw new DmTableError(this.#end, `the line ends where ${what} is expected`);
    this.#at++;
    return word;
  }

  number(what: string): number {
    return toNumber(this.next(what), what);
  }

  /** The next `count` words by themselves, as the kernel hands log arguments on. */
  take(count: Word, what: string): Words {
    const wanted = toNumber(count, `the number of ${what}`);
    if (wanted > this.left) {
      throw new DmTableError(
        count.column,
        `${count.text} ${what} are announced, only ${String(this.left)} words follow`,
      );
    }
    const taken = this.#words.slice(this.#at, this.#at + wanted);
    this.#at += wanted;
    return new Words(taken, this.#words[this.#at]?.column ?? this.#end);
  }

  mustEnd(why: string): void {
    const word = this.#words[this.#at];
    if (word !== undefined) throw new DmTableError(word.column, `'${word.text}' is too much: ${why}`);
  }
}

function toNumber(word: Word, what: string): number {
  const value = /^\d+$/.test(word.text) ? Number(word.text) : Number.NaN;
  if (Number.isSafeInteger(value)) return value;
  throw new DmTableError(word.column, `'${word.text}' is not ${what}: a decimal number below 2^53`);
}

function parseRegionSize(words: Words, length: number): number {
  const word = words.next('the region size');
  const size = toNumber(word, 'the region size in sectors');
  if (size < MIN_REGION_SECTORS || !Number.isInteger(Math.log2(size))) {
    throw new DmTableError(
      word.column,
      `region size ${word.text}: it must be a power of two sectors, at least ${String(MIN_REGION_SECTORS)}`,
    );
  }
  if (size > length) {
    throw new DmTableError(
      word.column,
      `region size ${word.text}: it must not be larger than the mirror, ${String(length)} sectors`,
    );
  }
  return size;
}

function parseSync(words: Words): DmLogSync | null {
  if (words.left === 0) return null;
  const word = words.next('sync or nosync');
  if (word.text !== 'sync' && word.text !== 'nosync') {
    throw new DmTableError(word.column, `'${word.text}': here the log takes only sync or nosync`);
  }
  return word.text;
}

function parseLog(words: Words, length: number): DmLog {
  const type = words.next('the log type');
  if (type.text !== 'core' && type.text !== 'disk') {
    const why =
      type.text === 'userspace' ? 'its log lies with a daemon of LVM or a cluster' : 'core and disk are';
    throw new DmTableError(type.column, `log type '${type.text}' is not supported: ${why}`);
  }
  const args = words.take(words.next('the number of log arguments'), 'log arguments');
  const log: DmLog =
    type.text === 'core'
      ? { kind: 'core', regionSectors: parseRegionSize(args, length), sync: parseSync(args) }
      : {
          kind: 'disk',
          device: args.next('the log device').text,
          regionSectors: parseRegionSize(args, length),
          sync: parseSync(args),
        };
  args.mustEnd(`a ${type.text} log has no further arguments`);
  return log;
}

function parseLegs(words: Words): readonly DmLeg[] {
  const count = words.next('the number of legs');
  const legs = toNumber(count, 'the number of legs');
  if (legs < DM_LEGS.min || legs > DM_LEGS.max) {
    throw new DmTableError(
      count.column,
      `${count.text} legs: a kernel mirror has ${String(DM_LEGS.min)} to ${String(DM_LEGS.max)}`,
    );
  }
  return Array.from({ length: legs }, (_, index) => ({
    device: words.next(`the device of leg ${String(index)}`).text,
    sector: words.number(`the start sector of leg ${String(index)}`),
  }));
}

function parseFeatures(words: Words): { handleErrors: boolean; keepLog: boolean } {
  let handleErrors = false;
  let keepLog: Word | null = null;
  if (words.left > 0) {
    const features = words.take(words.next('the number of features'), 'features');
    while (features.left > 0) {
      const feature = features.next('a feature');
      if (feature.text === 'handle_errors') handleErrors = true;
      else if (feature.text === 'keep_log') keepLog = feature;
      else
        throw new DmTableError(
          feature.column,
          `feature '${feature.text}': handle_errors and keep_log are known`,
        );
    }
  }
  words.mustEnd('the line should end here');
  if (keepLog !== null && !handleErrors) {
    throw new DmTableError(keepLog.column, 'keep_log needs handle_errors');
  }
  return { handleErrors, keepLog: keepLog !== null };
}

/**
 * Reads one line.
 * @throws {DmTableError} with the column, for all that the kernel would refuse.
 */
export function parseDmTable(line: string): DmTable {
  const list = Array.from(line.matchAll(/\S+/g), (match) => ({ text: match[0], column: match.index + 1 }));
  const first = list[0];
  const name = first?.text.endsWith(':') === true && first.text.length > 1 ? first.text.slice(0, -1) : null;
  const words = new Words(name === null ? list : list.slice(1), line.trimEnd().length + 1);
  const start = words.number('the start sector');
  const lengthWord = words.next('the length');
  const length = toNumber(lengthWord, 'the length in sectors');
  if (length === 0) throw new DmTableError(lengthWord.column, 'a mirror of 0 sectors');
  const target = words.next('the target');
  if (target.text !== 'mirror') {
    throw new DmTableError(target.column, `target '${target.text}': only a mirror can become a mirror set`);
  }
  const log = parseLog(words, length);
  const legs = parseLegs(words);
  return { name, start, length, log, legs, ...parseFeatures(words) };
}
