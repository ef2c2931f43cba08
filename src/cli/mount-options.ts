/** The options of `-o`: ours, those that libfuse knows, and those of mount(8) that mean nothing here. */
import { DmiofsError } from '../errors.js';

export interface MountOptionSet {
  readonly allowOther: boolean;
  readonly readOnly: boolean;
  readonly uid: number | undefined;
  readonly gid: number | undefined;
  readonly umask: number | undefined;
  readonly sets: readonly string[];
  /** Handed to libfuse. */
  readonly generic: readonly string[];
}

const GENERIC = new Set([
  'suid',
  'nosuid',
  'dev',
  'nodev',
  'exec',
  'noexec',
  'atime',
  'noatime',
  'sync',
  'async',
  'dirsync',
]);
/** mount(8)'s own, the kernel's defaults, and what other programs read from fstab. */
const IGNORED = new Set([
  'rw',
  'defaults',
  'auto',
  'noauto',
  'nofail',
  '_netdev',
  'user',
  'nouser',
  'users',
  'owner',
  'group',
  'relatime',
  'norelatime',
  'strictatime',
  'nostrictatime',
  'nodiratime',
  'diratime',
  'lazytime',
  'nolazytime',
  'silent',
  'loud',
  'iversion',
  'noiversion',
]);

function number(name: string, value: string, base: 8 | 10): number {
  const pattern = base === 8 ? /^[0-7]{1,4}$/ : /^[0-9]{1,10}$/;
  if (!pattern.test(value))
    throw new DmiofsError(
      'ERR_DMIOFS_USAGE',
      `-o ${name}=${value}: ${base === 8 ? 'an octal number' : 'a number'} is wanted`,
    );
  return Number.parseInt(value, base);
}

/** `sloppy`: unknown options are passed over (mount -s). */
export function parseMountOptions(texts: readonly string[], sloppy = false): MountOptionSet {
  const found = {
    allowOther: false,
    readOnly: false,
    uid: undefined as number | undefined,
    gid: undefined as number | undefined,
    umask: undefined as number | undefined,
  };
  const sets: string[] = [];
  const generic: string[] = [];
  for (const option of texts.flatMap((text) => text.split(',')).filter((text) => text !== '')) {
    const [name = '', ...rest] = option.split('=');
    const value = rest.join('=');
    if (option === 'allow_other') found.allowOther = true;
    else if (option === 'ro') found.readOnly = true;
    else if (option === 'rw') found.readOnly = false;
    else if (name === 'uid') found.uid = number(name, value, 10);
    else if (name === 'gid') found.gid = number(name, value, 10);
    else if (name === 'umask') found.umask = number(name, value, 8);
    else if (name === 'set' && value !== '') sets.push(value);
    else if (GENERIC.has(option)) generic.push(option);
    else if (
      !IGNORED.has(option) &&
      !option.startsWith('x-') &&
      !option.startsWith('X-') &&
      name !== 'comment' &&
      !sloppy
    ) {
      throw new DmiofsError(
        'ERR_DMIOFS_USAGE',
        `-o ${option}: no such option; there are allow_other, ro, uid=, gid=, umask=, set= and the generic ones of mount(8)`,
      );
    }
  }
  return { ...found, sets, generic };
}
