/**
 * The arguments of a command line without surprises, read by Node's own parser: loading yargs takes longer than most commands.
 *
 * The command's own builder says what there is. Whatever is not plain (help, a mistake, a repeated option, a declaration that means more than
 * a name and a type) is left to yargs, which has the messages.
 */
import { parseArgs } from 'node:util';
import type { Command } from './command.js';

interface Declared {
  readonly type?: string;
  readonly default?: unknown;
  readonly alias?: string;
}

const PLAIN_KEYS = ['type', 'describe', 'default', 'alias', 'demandOption'];

function plain(declared: Declared, types: readonly string[]): boolean {
  const known = Object.keys(declared).every((key) => PLAIN_KEYS.includes(key));
  return known && typeof declared.type === 'string' && types.includes(declared.type);
}

/** Takes down what a builder declares. */
class Declarations {
  readonly positionals = new Map<string, Declared>();
  readonly options = new Map<string, Declared>();
  plain = true;

  positional(name: string, declared: Declared): this {
    this.plain &&= plain(declared, ['string']);
    this.positionals.set(name, declared);
    return this;
  }

  option(name: string, declared: Declared & { readonly demandOption?: boolean }): this {
    this.plain &&= plain(declared, ['string', 'boolean']) && declared.demandOption !== true;
    this.options.set(name, declared);
    return this;
  }
}

function declarationsOf(command: Command): Declarations | undefined {
  const declarations = new Declarations();
  const { builder } = command;
  if (typeof builder !== 'function') return undefined;
  try {
    void (builder as (yargs: unknown) => unknown)(declarations);
  } catch {
    return undefined; // it declares more than there is here
  }
  return declarations.plain ? declarations : undefined;
}

const camelCase = (name: string): string =>
  name.replace(/-([a-z])/g, (_, letter: string) => letter.toUpperCase());

/** The arguments for the command's handler; undefined: yargs has to look. */
export function plainArguments(
  command: Command,
  args: readonly string[],
): Readonly<Record<string, unknown>> | undefined {
  const declarations = declarationsOf(command);
  const usage = typeof command.command === 'string' ? command.command.split(' ') : [];
  if (declarations === undefined || args.includes('--')) return undefined;
  try {
    const { values, positionals, tokens } = parseArgs({
      args: args.slice(1),
      strict: true,
      allowPositionals: true,
      tokens: true,
      options: Object.fromEntries(
        [...declarations.options].map(([name, { type, alias }]) => [
          name,
          {
            type: type === 'boolean' ? 'boolean' : 'string',
            ...(alias === undefined ? {} : { short: alias }),
          },
        ]),
      ),
    });
    const given = tokens.flatMap((token) => (token.kind === 'option' ? [token.name] : []));
    if (new Set(given).size !== given.length || positionals.includes('')) return undefined;
    const places = usage.slice(1);
    const required = places.filter((place) => place.startsWith('<')).length;
    const fits = places.every((place) => /^(<[a-z-]+>|\[[a-z-]+\])$/.test(place));
    if (!fits || positionals.length < required || positionals.length > places.length) return undefined;
    const result: Record<string, unknown> = {};
    for (const [name, { default: value }] of [...declarations.options, ...declarations.positionals]) {
      result[camelCase(name)] = values[name] ?? value;
    }
    for (const [index, place] of places.entries()) {
      const value = positionals[index];
      if (value !== undefined) result[camelCase(place.slice(1, -1))] = value;
    }
    return result;
  } catch {
    return undefined; // a mistake
  }
}
