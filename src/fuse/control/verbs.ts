/**
 * The control verbs: what is written to `user.dmio.control` of a set's file. One table; each verb is parsed strictly.
 */
import { DmiofsError } from '../../errors.js';
import type { MirrorSet } from '../../mirror/mirror-set.js';
import type { SpeedLimits } from '../../mirror/sync-pacer.js';
import { parseSize } from '../../util/size.js';

export interface ControlVerb {
  readonly name: string;
  readonly usage: string;
  /** `rest`: all that stands after the name, blanks kept. */
  readonly run: (set: MirrorSet, words: readonly string[], rest: string) => Promise<void>;
}

function invalid(verb: string, text: string): DmiofsError {
  return new DmiofsError('ERR_DMIOFS_CONTROL', `${verb}: ${text}`);
}

function parseLeg(verb: string, word: string | undefined): number {
  if (word === undefined || !/^(0|[1-9][0-9]?)$/.test(word)) {
    throw invalid(verb, `a leg is its index, 0 to 63, not ${JSON.stringify(word ?? '')}`);
  }
  return Number(word);
}

function noMore(verb: string, words: readonly string[], allowed: number): void {
  if (words.length > allowed)
    throw invalid(verb, `too many words: ${JSON.stringify(words.slice(allowed).join(' '))}`);
}

/** A limit that is not given stays, unless the other one leaves no room for it: then it follows. */
function parseSpeed(words: readonly string[], before: SpeedLimits): SpeedLimits {
  const given: { min?: number; max?: number } = {};
  if (words.length === 0) throw invalid('speed', 'give min=RATE, max=RATE or both');
  for (const word of words) {
    const found = /^(min|max)=(.+)$/.exec(word);
    const key = found?.[1] === 'min' ? 'min' : 'max';
    const rate = found?.[2] === undefined ? undefined : parseSize(found[2]);
    if (rate === undefined)
      throw invalid('speed', `${JSON.stringify(word)} is not min=RATE or max=RATE, bytes a second`);
    if (given[key] !== undefined) throw invalid('speed', `${key}= is given twice`);
    given[key] = rate;
  }
  const { min, max } = given;
  if (min !== undefined && max !== undefined && max !== 0 && min > max)
    throw invalid('speed', 'min is above max');
  const highest = max ?? (before.max === 0 ? 0 : Math.max(before.max, min ?? 0));
  const lowest = min ?? (highest === 0 ? before.min : Math.min(before.min, highest));
  return { min: lowest, max: highest };
}

type Run = ControlVerb['run'];

const fail: Run = async (set, words) => {
  noMore('fail', words, 1);
  await set.failLeg(parseLeg('fail', words[0]));
};

const reAdd: Run = async (set, words) => {
  noMore('re-add', words, 1);
  await set.reAddLeg(parseLeg('re-add', words[0]));
};

const clear: Run = async (set, words) => {
  noMore('clear', words, 1);
  await set.clearErrors(words.length === 0 ? -1 : parseLeg('clear', words[0]));
};

const pause: Run = async (set, words) => {
  noMore('pause', words, 0);
  await set.pause();
};

const resume: Run = async (set, words) => {
  noMore('resume', words, 0);
  await set.resume();
};

const speed: Run = async (set, words) => {
  await set.setSpeed(parseSpeed(words, set.speedLimits));
};

/** `[sector=N] DEVICE`: the device is the rest of the line, blanks and all. */
function parsePlace(verb: string, rest: string): { device: string; sector: number } {
  const found = /^sector=(\S*) *(.*)$/.exec(rest);
  const sector = found?.[1];
  if (sector !== undefined && !/^(0|[1-9][0-9]{0,14})$/.test(sector))
    throw invalid(verb, `sector= is a number of sectors, not ${JSON.stringify(sector)}`);
  const device = found === null ? rest : (found[2] ?? '');
  if (device === '') throw invalid(verb, 'a device is missing');
  return { device, sector: Number(sector ?? 0) };
}

const add: Run = async (set, _words, rest) => {
  await set.addLeg(parsePlace('add', rest));
};

const remove: Run = async (set, words) => {
  noMore('remove', words, 1);
  await set.removeLeg(parseLeg('remove', words[0]));
};

const replace: Run = async (set, words, rest) => {
  const leg = parseLeg('replace', words[0]);
  await set.replaceLeg(leg, parsePlace('replace', rest.replace(/^\S+ */, '')));
};

const scrub =
  (action: 'check' | 'repair'): Run =>
  async (set, words) => {
    noMore(action, words, 0);
    set.scrub(action);
    await Promise.resolve();
  };

const idle: Run = async (set, words) => {
  noMore('idle', words, 0);
  set.endScrub();
  await Promise.resolve();
};

export const CONTROL_VERBS: readonly ControlVerb[] = [
  { name: 'fail', usage: 'fail LEG', run: fail },
  { name: 're-add', usage: 're-add LEG', run: reAdd },
  { name: 'add', usage: 'add [sector=N] DEVICE', run: add },
  { name: 'remove', usage: 'remove LEG', run: remove },
  { name: 'replace', usage: 'replace LEG [sector=N] DEVICE', run: replace },
  { name: 'clear', usage: 'clear [LEG]', run: clear },
  { name: 'check', usage: 'check', run: scrub('check') },
  { name: 'repair', usage: 'repair', run: scrub('repair') },
  { name: 'idle', usage: 'idle', run: idle },
  { name: 'pause', usage: 'pause', run: pause },
  { name: 'resume', usage: 'resume', run: resume },
  { name: 'speed', usage: 'speed min=RATE max=RATE', run: speed },
];

/** Parses and runs one verb. Throws a DmiofsError for what it does not know, and what the set throws. */
export async function runControl(set: MirrorSet, text: string): Promise<void> {
  if (/[\u0000-\u001f\u007f]/.test(text.trimEnd())) throw invalid('control', 'a verb is one line of text');
  const [name = '', ...words] = text.trim().split(/ +/);
  const verb = CONTROL_VERBS.find((known) => known.name === name);
  if (verb === undefined) {
    throw invalid(
      'control',
      `no verb ${JSON.stringify(name)}; there are: ${CONTROL_VERBS.map(({ usage }) => usage).join(', ')}`,
    );
  }
  await verb.run(set, words, text.trim().slice(name.length).trimStart());
}
