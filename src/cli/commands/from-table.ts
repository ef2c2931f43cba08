/** `dmiofs from-table`: a config of the `dmsetup table` line of a kernel mirror. */
import { existsSync, readFileSync, readlinkSync } from 'node:fs';
import { basename } from 'node:path';
import { text } from 'node:stream/consumers';
import { DmiofsError } from '../../errors.js';
import { parseDmTable } from '../../mirror/dm-table-parser.js';
import { configOfTables } from '../../mirror/table-config.js';
import { defineCommand } from '../command.js';

/** The path of a block device given by its number: the mapper's name where it has one, else the kernel's. */
export function deviceOfNumber(majorMinor: string, root = '/'): string {
  const sys = `${root}sys/dev/block/${majorMinor}`;
  try {
    return `/dev/mapper/${readFileSync(`${sys}/dm/name`, 'utf8').trim()}`;
  } catch {
    // Not a device-mapper device.
  }
  try {
    const path = `/dev/${basename(readlinkSync(sys)).replaceAll('!', '/')}`;
    if (existsSync(`${root}${path.slice(1)}`)) return path;
  } catch {
    // Not on this machine.
  }
  return `/dev/block/${majorMinor}`;
}

/** The config of the lines in `input`; comments and blank lines are passed over. */
export function fromTable(input: string, name: string): string {
  const tables = input
    .split('\n')
    .map((line, index) => ({ line, number: index + 1 }))
    .filter(({ line }) => line.trim() !== '' && !line.trimStart().startsWith('#'))
    .map(({ line, number }) => {
      try {
        return parseDmTable(line);
      } catch (error) {
        if (error instanceof Error) error.message = `line ${String(number)}, ${error.message}`;
        throw error;
      }
    });
  if (tables.length === 0)
    throw new DmiofsError(
      'ERR_DMIOFS_TABLE',
      'no table line: pipe `dmsetup table NAME` into this command, or give the line as one argument',
    );
  return configOfTables(tables, { name, resolveDevice: (majorMinor) => deviceOfNumber(majorMinor) });
}

export const fromTableCommand = defineCommand<{ line: string | undefined; name: string }>({
  command: 'from-table [line]',
  describe: 'print a config for the dmsetup table line of a kernel mirror, read from stdin or the argument',
  builder: (yargs) =>
    yargs
      .positional('line', { type: 'string', describe: 'the table line, quoted; default: read from stdin' })
      .option('name', {
        type: 'string',
        default: 'mirror',
        describe: 'name of the set, where the line has none',
      }),
  handler: async ({ line, name }) => {
    process.stdout.write(fromTable(line ?? (await text(process.stdin)), name));
  },
});
