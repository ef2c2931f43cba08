/** The command line: the commands, and the only place that prints errors and chooses exit codes. */
import { readFileSync } from 'node:fs';
import type { Argv } from 'yargs';
import { isDmiofsError, messageOf } from '../errors.js';
import { isNativeError } from '../native/error.js';
import type { Command } from './command.js';
import { loadCommands } from './commands.js';
import { EXIT, ExitError } from './exit.js';
import { plainArguments } from './plain-arguments.js';

function version(): string {
  const text = readFileSync(new URL('../../package.json', import.meta.url), 'utf8');
  return (JSON.parse(text) as { version: string }).version;
}

class UsageError extends Error {}

/** Their exit code 1 is an answer (degraded; legs differ), never a mistake. */
const ANSWERING = ['status', 'scrub'];

function exitCodeOf(error: unknown, command: string | undefined): number {
  if (error instanceof ExitError) return error.exitCode;
  const usage = error instanceof UsageError || (isDmiofsError(error) && error.code === 'ERR_DMIOFS_USAGE');
  const expected = usage || isDmiofsError(error) || isNativeError(error);
  if (!expected) return EXIT.internal;
  if (command !== undefined && ANSWERING.includes(command)) return EXIT.system;
  if (usage) return EXIT.usage;
  if (command === 'mount' || (isDmiofsError(error) && error.code === 'ERR_DMIOFS_MOUNT'))
    return EXIT.mountFailure;
  return isDmiofsError(error) ? EXIT.usage : EXIT.system;
}

function report(error: unknown): void {
  if (error instanceof ExitError) return;
  for (const line of messageOf(error).trimEnd().split('\n')) process.stderr.write(`dmiofs: ${line}\n`);
  const expected = error instanceof UsageError || isDmiofsError(error) || isNativeError(error);
  if (!expected && error instanceof Error && error.stack !== undefined)
    process.stderr.write(`${error.stack}\n`);
}

/** yargs makes a list of an option that is given twice, which no command expects of one that is no list. */
function refuseRepeated(argv: Readonly<Record<string, unknown>>, declared: unknown): true {
  const { array: lists } = declared as { readonly array: readonly string[] };
  for (const [name, value] of Object.entries(argv)) {
    if (name !== '_' && Array.isArray(value) && !lists.includes(name))
      throw new UsageError(`--${name} is given twice: ${value.map(String).join(', ')}\nTry dmiofs --help.`);
  }
  return true;
}

async function runByYargs(commands: readonly Command[], args: readonly string[]): Promise<void> {
  const { default: yargs } = await import('yargs');
  let parser: Argv = yargs([...args])
    .scriptName('dmiofs')
    .usage('$0 COMMAND\n\nShows each mirror set of devices or image files as one file.')
    .version(version())
    .help()
    .alias('help', 'h')
    .strict()
    .recommendCommands()
    .demandCommand(1, 'name a command; dmiofs --help lists them')
    .wrap(Math.min(110, process.stdout.columns > 0 ? process.stdout.columns : 80))
    .parserConfiguration({ 'parse-numbers': false, 'parse-positional-numbers': false })
    .check(refuseRepeated)
    .exitProcess(false)
    .epilogue('Manual: dmiofs(8), dmiofs.yaml(5), mount.dmiofs(8). How to run it: docs/operations.md')
    .fail((message, error) => {
      if (error instanceof Error) throw error;
      const [name = ''] = args;
      const named = commands.find(({ command }) => String(command).split(' ')[0] === name);
      const hint =
        named === undefined
          ? 'Try dmiofs --help.'
          : `Usage: dmiofs ${String(named.command)}\nTry dmiofs ${name} --help.`;
      // Its own words count arguments without naming one: the usage does.
      const what = message.startsWith('Not enough non-option arguments') ? 'too few arguments' : message;
      throw new UsageError(`${what}\n${hint}`);
    });
  for (const command of commands) parser = parser.command(command);
  const asked = args[0] === '--get-yargs-completions';
  const completeArgument = asked ? (await import('./completion.js')).completeArgument : () => [];
  parser = parser.completion(
    'completion',
    'print the completion script of the shell that SHELL names',
    (
      current: string,
      argv: { readonly _: readonly string[] },
      completeByDefault: () => unknown,
      done: (completions: string[]) => unknown,
    ) => {
      const words = argv._.slice(1);
      // What nothing is offered for, the shell completes as a path.
      if (words.length < 2 || current.startsWith('-')) completeByDefault();
      else done([...completeArgument(commands, words)]);
    },
  );
  await parser.parseAsync();
}

async function run(args: readonly string[]): Promise<void> {
  const commands = await loadCommands(args);
  const named = commands.find(({ command }) => String(command).split(' ')[0] === args[0]);
  const plain = named === undefined ? undefined : plainArguments(named, args);
  if (named === undefined || plain === undefined) await runByYargs(commands, args);
  else await named.handler({ _: [], $0: 'dmiofs', ...plain });
}

export async function main(args: readonly string[]): Promise<number> {
  try {
    await run(args);
    return EXIT.ok;
  } catch (error) {
    report(error);
    return exitCodeOf(
      error,
      args.find((arg) => !arg.startsWith('-')),
    );
  }
}
