/**
 * The parts of the manual that are made of the program's own tables, in scdoc(5)'s language: commands and options as --help has them, the keys of the
 * config as its schema has them, the control verbs. scripts/generate puts them where man/*.scd names them.
 */
import type { Argv } from 'yargs';
import { z } from 'zod';
import { configSchema } from '../config/schema.js';
import { CONTROL_VERBS } from '../fuse/control/verbs.js';
import { MIRROR_EVENTS, MONITOR_EVENTS } from '../mirror/event.js';
import type { Command } from './command.js';
import { allCommands } from './commands.js';
import { GENERIC_OPTIONS, OWN_OPTIONS } from './mount-options.js';

interface Described {
  readonly describe?: string | undefined;
  readonly alias?: string | readonly string[] | undefined;
  readonly type?: string | undefined;
  readonly default?: unknown;
  readonly choices?: readonly unknown[] | undefined;
  readonly hidden?: boolean | undefined;
}

/** What stands for an option's value. */
const VALUE_NAMES: Readonly<Record<string, string>> = {
  exec: 'PROGRAM',
  'exec-timeout': 'TIME',
  'fault-rules': 'RULES',
  listen: '[HOST:]PORT',
  max: 'RATE',
  min: 'RATE',
  option: 'OPTIONS',
  output: 'FILE',
  sector: 'N',
  set: 'NAME',
  svg: 'FILE',
  timeout: 'TIME',
};

interface CommandManual {
  /** As in the definition: `fail <file> <leg>`. */
  readonly usage: string;
  readonly describe: string;
  readonly positionals: ReadonlyMap<string, Described>;
  readonly options: ReadonlyMap<string, Described>;
}

/** Runs a command's builder on something that only takes notes. */
function manualOf({ command, describe, builder }: Command): CommandManual {
  const positionals = new Map<string, Described>();
  const options = new Map<string, Described>();
  const notes: unknown = new Proxy(
    {},
    {
      get:
        (_, method) =>
        (name: string | Readonly<Record<string, Described>>, what: Described = {}) => {
          if (method === 'positional' && typeof name === 'string') positionals.set(name, what);
          else if (method === 'option' && typeof name === 'string') options.set(name, what);
          else if ((method === 'options' || method === 'option') && typeof name === 'object')
            for (const [key, value] of Object.entries(name)) options.set(key, value);
          return notes;
        },
    },
  );
  if (typeof builder === 'function') void builder(notes as Argv);
  return { usage: String(command), describe: String(describe), positionals, options };
}

const isScalar = (value: unknown): value is string | number | boolean =>
  typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean';

/** Plain text, as scdoc prints it. */
const plain = (text: string): string => text.replace(/[\\*_#|~[\]<>]/g, '\\$&');
const bold = (text: string): string => `*${plain(text)}*`;
const italic = (text: string): string => `_${plain(text)}_`;
const sentence = (text: string): string => {
  // The name of an option or a key stays as it is written.
  const first = /^[a-z]+\b[^_=:]/.test(text) ? `${text.slice(0, 1).toUpperCase()}${text.slice(1)}` : text;
  return plain(/[.?!]$/.test(first) ? first : `${first}.`);
};
/** A paragraph indented by so many tabs. */
const paragraph = (tabs: number, text: string): string => `${'\t'.repeat(tabs)}${text}\n`;

function optionTerm(name: string, { alias, type }: Described): string {
  const names = [name, ...(alias === undefined ? [] : typeof alias === 'string' ? [alias] : alias)];
  const flags = names.map((one) => bold(`${one.length === 1 ? '-' : '--'}${one}`));
  const value =
    type === 'boolean' || type === 'count' ? '' : ` ${italic(VALUE_NAMES[name] ?? name.toUpperCase())}`;
  return `${flags.reverse().join(', ')}${value}`;
}

function optionText({ describe = '', default: standard, choices }: Described): string {
  const values =
    choices === undefined ? '' : ` One of ${choices.map((choice) => bold(String(choice))).join(', ')}.`;
  const shown = isScalar(standard) && standard !== false ? ` Default: ${bold(String(standard))}.` : '';
  return `${sentence(describe)}${values}${shown}`;
}

function commandText(manual: CommandManual): string {
  const [name = '', ...words] = manual.usage.split(' ');
  const shown = [...manual.options].filter(([, { hidden }]) => hidden !== true);
  const usage = [
    bold(`dmiofs ${name}`),
    ...words.map((word) =>
      word.startsWith('[') ? `\\[${italic(word.slice(1, -1))}\\]` : italic(word.slice(1, -1)),
    ),
    ...(shown.length > 0 ? ['\\[_options_\\]'] : []),
  ].join(' ');
  return [
    `${usage}\n${paragraph(1, sentence(manual.describe))}`,
    ...[...manual.positionals].map(([key, what]) => `\t${italic(key)}\n${paragraph(2, optionText(what))}`),
    ...shown.map(([key, what]) => `\t${optionTerm(key, what)}\n${paragraph(2, optionText(what))}`),
  ].join('\n');
}

interface KeySchema {
  readonly description?: string;
  readonly default?: unknown;
  readonly enum?: readonly unknown[];
  readonly properties?: Readonly<Record<string, KeySchema>>;
  readonly required?: readonly string[];
  readonly items?: KeySchema;
  readonly additionalProperties?: KeySchema | boolean;
}

/** The keys of a map, then those of the maps in it; `path` is of the map. */
function keysText(path: string, schema: KeySchema): readonly string[] {
  const inner: (readonly [string, KeySchema])[] = [];
  const keys = Object.entries(schema.properties ?? {}).map(([key, what]) => {
    const { additionalProperties: values, items } = what;
    if (what.properties !== undefined) inner.push([`${path}${key}.`, what]);
    else if (items?.properties !== undefined) inner.push([`${path}${key}.`, items]);
    else if (typeof values === 'object') inner.push([`${path}${key}.NAME.`, values]);
    const values_ =
      what.enum === undefined ? '' : ` One of ${what.enum.map((one) => bold(String(one))).join(', ')}.`;
    const fallback = isScalar(what.default) ? ` Default: ${bold(String(what.default))}.` : '';
    const needed = schema.required?.includes(key) === true ? ' Needed.' : '';
    return `${bold(key)}\n${paragraph(1, `${sentence(what.description ?? '')}${values_}${fallback}${needed}`)}`;
  });
  const heading = path === '' ? 'TOP LEVEL' : path.replace(/\.$/, '');
  return [`## ${heading}\n`, ...keys, ...inner.flatMap(([at, what]) => keysText(at, what))];
}

/** By the name that stands alone on a line of man/*.scd, between @ signs. */
export async function manualParts(version: string): Promise<Readonly<Record<string, string>>> {
  const commands = (await allCommands()).map(manualOf);
  const schema = z.toJSONSchema(configSchema, { io: 'input', target: 'draft-7' }) as KeySchema;
  return {
    version,
    commands: commands.map(commandText).join('\n'),
    'own-options': OWN_OPTIONS.map(
      ({ option, describe }) => `${bold(option)}\n${paragraph(1, sentence(describe))}`,
    ).join('\n'),
    'generic-options': paragraph(0, [...GENERIC_OPTIONS].map(bold).join(', ')),
    events: Object.entries({ ...MIRROR_EVENTS, ...MONITOR_EVENTS })
      .map(([event, text]) => `${bold(event)}\n${paragraph(1, sentence(text))}`)
      .join('\n'),
    keys: keysText('', schema).join('\n'),
    verbs: CONTROL_VERBS.map(({ usage }) => paragraph(1, bold(usage))).join('\n'),
  };
}

/** A page's source with its parts; an error names a part that does not exist. */
export function fillManual(source: string, parts: Readonly<Record<string, string>>): string {
  return source.replace(/@([a-z-]+)@/g, (_, name: string) => {
    const part = parts[name];
    if (part === undefined) throw new Error(`the manual asks for a part @${name}@: there is none`);
    return part.replace(/\n+$/, '');
  });
}

/** Of what scdoc made: its version and the date would change the page every day. */
export const withoutDate = (page: string): string =>
  page
    .replace(/^(\.TH "[^"]*" "[^"]*") "[^"]*"/m, '$1 ""')
    .replace(/^\.\\" Generated by scdoc .*$/m, '.\\" Made by scripts/generate with scdoc');
