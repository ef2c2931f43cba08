/**
 * What the shell's completion offers beside commands and options, which yargs knows: mountpoints, files of sets and legs of what is mounted.
 * It is read from the table of mounts and the configs named there, never from a mount: one that hangs would hang the shell.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse } from 'yaml';
import { dmiofsMounts, type MountEntry } from '../util/mountinfo.js';
import type { Command } from './command.js';

/** The number of legs of each set in a mount's config; empty when it cannot be read. */
function setsOf({ source }: MountEntry): ReadonlyMap<string, number> {
  try {
    const { sets } = parse(readFileSync(source, 'utf8')) as {
      sets: Readonly<Record<string, { readonly regions: readonly unknown[] }>>;
    };
    return new Map(Object.entries(sets).map(([name, { regions }]) => [name, regions.length]));
  } catch {
    return new Map();
  }
}

const mountpoints = (): readonly string[] => dmiofsMounts().map(({ mountpoint }) => mountpoint);

function files(): ReadonlyMap<string, number> {
  return new Map(
    dmiofsMounts().flatMap((mount) =>
      [...setsOf(mount)].map(([name, legs]) => [join(mount.mountpoint, name), legs] as const),
    ),
  );
}

/** The positional arguments of `fail <file> <leg>`: file, leg. */
function positionals(commands: readonly Command[], name: string): readonly string[] {
  for (const { command } of commands) {
    const [first, ...rest] = String(command).split(' ');
    if (first === name) return rest.map((word) => word.replace(/[<>[\].]/g, ''));
  }
  return [];
}

/** `words`: the command and its arguments, the last one being written. */
export function completeArgument(commands: readonly Command[], words: readonly string[]): readonly string[] {
  const [command = ''] = words;
  const argument = positionals(commands, command)[words.length - 2] ?? '';
  switch (argument) {
    case 'file':
      return [...files().keys()];
    case 'path':
      return [...mountpoints(), ...files().keys()];
    case 'mountpoint':
      // `mount` wants one where nothing is.
      return command === 'mount' ? [] : mountpoints();
    case 'leg':
      return Array.from({ length: files().get(words[1] ?? '') ?? 0 }, (_, leg) => String(leg));
    default:
      return [];
  }
}
