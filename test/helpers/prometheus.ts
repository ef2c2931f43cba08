/** A strict reader of Prometheus' text format (0.0.4): what promtool would complain about is an error here. */

export interface Sample {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}
export interface Family {
  readonly name: string;
  readonly help: string;
  readonly type: string;
  readonly samples: Sample[];
}

const NAME = /^[a-zA-Z_:][a-zA-Z0-9_:]*$/;
const TYPES = ['counter', 'gauge', 'histogram', 'summary', 'untyped'];

function parseLabels(text: string): Record<string, string> {
  const labels: Record<string, string> = {};
  const one = /^([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\["\\n])*)"(?:,|$)/;
  for (let rest = text; rest !== ''; ) {
    const found = one.exec(rest);
    if (found === null) throw new Error(`labels: ${rest}`);
    const [whole, name = '', value = ''] = found;
    if (name in labels) throw new Error(`label ${name} twice: ${text}`);
    labels[name] = value.replace(/\\(.)/g, (_, c: string) => (c === 'n' ? '\n' : c));
    rest = rest.slice(whole.length);
  }
  return labels;
}

function parseSample(line: string): Sample {
  const found = /^([^{ ]+)(?:\{(.*)\})? (\S+)$/.exec(line);
  if (found === null) throw new Error(`no sample: ${line}`);
  const [, name = '', labels = '', number = ''] = found;
  const value = number === '+Inf' ? Number.POSITIVE_INFINITY : number === 'Nan' ? Number.NaN : Number(number);
  if (!NAME.test(name) || (Number.isNaN(value) && number !== 'Nan')) throw new Error(`no sample: ${line}`);
  return { name, labels: parseLabels(labels), value };
}

const keyOf = (labels: Readonly<Record<string, string>>, without = ''): string =>
  JSON.stringify(
    Object.entries(labels)
      .filter(([name]) => name !== without)
      .sort(),
  );

function checkHistogram({ name, samples }: Family): void {
  const series = new Map<string, { readonly buckets: [number, number][]; sum?: number; count?: number }>();
  for (const sample of samples) {
    const at = series.get(keyOf(sample.labels, 'le')) ?? { buckets: [] };
    series.set(keyOf(sample.labels, 'le'), at);
    const { le } = sample.labels;
    if (sample.name === `${name}_bucket` && le !== undefined) {
      at.buckets.push([le === '+Inf' ? Number.POSITIVE_INFINITY : Number(le), sample.value]);
    } else if (sample.name === `${name}_sum`) at.sum = sample.value;
    else if (sample.name === `${name}_count`) at.count = sample.value;
    else throw new Error(`${sample.name} in a histogram`);
  }
  for (const [key, { buckets, sum, count }] of series) {
    if (sum === undefined || count === undefined) throw new Error(`${name}${key}: no sum or count`);
    for (const [index, [bound, value]] of buckets.entries()) {
      const [lower, before] = buckets[index - 1] ?? [Number.NEGATIVE_INFINITY, 0];
      if (bound <= lower || value < before) throw new Error(`${name}${key}: buckets are not cumulative`);
    }
    const [last, all] = buckets.at(-1) ?? [];
    if (last !== Number.POSITIVE_INFINITY || all !== count)
      throw new Error(`${name}${key}: +Inf is not the count`);
  }
}

export function parsePrometheus(text: string): ReadonlyMap<string, Family> {
  if (!text.endsWith('\n')) throw new Error('it does not end with a newline');
  const families = new Map<string, Family>();
  const seen = new Set<string>();
  let help: { readonly name: string; readonly text: string } | undefined;
  let family: Family | undefined;
  for (const line of text.split('\n')) {
    if (line === '') continue;
    const [, kind, name = '', rest = ''] = /^# (HELP|TYPE) (\S+) (.*)$/.exec(line) ?? [];
    if (kind === 'HELP') {
      if (!NAME.test(name) || rest === '') throw new Error(line);
      help = { name, text: rest };
    } else if (kind === 'TYPE') {
      if (help?.name !== name || !TYPES.includes(rest) || families.has(name)) throw new Error(line);
      if (rest === 'counter' && !name.endsWith('_total'))
        throw new Error(`${name}: a counter ends in _total`);
      if (rest !== 'counter' && name.endsWith('_total'))
        throw new Error(`${name}: only counters end in _total`);
      if (/_(milli|micro|nano)?(seconds|bytes)/.exec(name)?.[1] !== undefined)
        throw new Error(`${name}: base units`);
      family = { name, help: help.text, type: rest, samples: [] };
      families.set(name, family);
    } else if (line.startsWith('#')) {
      throw new Error(line);
    } else {
      const sample = parseSample(line);
      const base =
        family?.type === 'histogram' ? sample.name.replace(/_(bucket|sum|count)$/, '') : sample.name;
      if (family?.name !== base)
        throw new Error(`${sample.name} is not in the family ${family?.name ?? '-'}`);
      if (seen.has(sample.name + keyOf(sample.labels))) throw new Error(`twice: ${line}`);
      if (family.type !== 'gauge' && !(sample.value >= 0)) throw new Error(`negative: ${line}`);
      seen.add(sample.name + keyOf(sample.labels));
      family.samples.push(sample);
    }
  }
  for (const one of families.values()) if (one.type === 'histogram') checkHistogram(one);
  return families;
}

/** The value of the one sample with these labels among others. */
export function valueOf(
  families: ReadonlyMap<string, Family>,
  name: string,
  labels: Readonly<Record<string, string>> = {},
): number {
  const base = families.has(name) ? name : name.replace(/_(bucket|sum|count)$/, '');
  const found = (families.get(base)?.samples ?? []).filter(
    (sample) =>
      sample.name === name &&
      Object.entries(labels).every(([label, value]) => sample.labels[label] === value),
  );
  const [only] = found;
  if (only === undefined || found.length > 1) {
    throw new Error(`${String(found.length)} samples of ${name}${JSON.stringify(labels)}`);
  }
  return only.value;
}
