import yargs, { type Argv } from 'yargs';
import { describe, expect, it } from 'vitest';
import { type Command, defineCommand } from '../../../src/cli/command.js';
import { allCommands } from '../../../src/cli/commands.js';
import { plainArguments } from '../../../src/cli/plain-arguments.js';

const sample: Command = defineCommand({
  command: 'sample <file> [leg]',
  describe: 'x',
  builder: (parser: Argv) =>
    parser
      .positional('file', { type: 'string', demandOption: true })
      .positional('leg', { type: 'string' })
      .option('json', { type: 'boolean', default: false })
      .option('watch', { alias: 'w', type: 'boolean', default: false })
      .option('exec-timeout', { type: 'string', default: '60s' })
      .option('svg', { type: 'string' }),
  handler: () => undefined,
});

/** What yargs makes of it; undefined: it refuses. */
async function byYargs(args: readonly string[]): Promise<Record<string, unknown> | undefined> {
  let seen: Record<string, unknown> | undefined;
  try {
    await yargs([...args])
      .command({ ...sample, handler: (found: object) => void (seen = { ...found }) })
      .strict()
      .parserConfiguration({ 'parse-numbers': false, 'parse-positional-numbers': false })
      .exitProcess(false)
      .fail((message: string, error: Error | undefined) => {
        throw error ?? new Error(message);
      })
      .parseAsync();
  } catch {
    return undefined;
  }
  return seen;
}

describe('plainArguments', () => {
  const lines = [
    'sample a',
    'sample a 1',
    'sample --json a',
    'sample a --json -w',
    'sample a --svg x.svg 0',
    'sample a --svg=x.svg',
    'sample a --exec-timeout 007',
    'sample 0123 00',
    // Left to yargs, or refused by both.
    'sample',
    'sample a b c',
    'sample a --jso',
    'sample a --svg',
    'sample a --svg x --svg y',
    'sample a --json=false',
    'sample a --no-json',
    'sample a --execTimeout 3s',
    'sample a -x',
    'sample -- a',
  ];
  it.each(lines)('%s: as yargs, or left to it', async (line) => {
    const args = line.split(' ');
    const [plain, usual] = [plainArguments(sample, args), await byYargs(args)];
    if (plain === undefined) return;
    for (const key of ['file', 'leg', 'json', 'watch', 'execTimeout', 'svg'])
      expect(plain[key]).toEqual(usual?.[key]);
  });

  it.each(lines.slice(0, 8))('%s: needs no yargs', (line) => {
    expect(plainArguments(sample, line.split(' '))).toBeDefined();
  });

  it.each(['--help', '-h', '--version'])('leaves %s to yargs', (word) => {
    expect(plainArguments(sample, ['sample', 'a', word])).toBeUndefined();
  });

  it('reads what programs ask often', async () => {
    const commands = await allCommands();
    for (const args of [
      ['status', '--json', '/mnt'],
      ['wait', '--timeout', '3s', '/mnt/x'],
      ['fail', '/mnt/x', '1'],
    ]) {
      const command = commands.find((one) => String(one.command).startsWith(`${args[0] ?? ''} `));
      expect(command && plainArguments(command, args)).toBeDefined();
    }
  });
});
