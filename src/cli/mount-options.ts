/** The options of `-o`: ours, those that libfuse knows, and those of mount(8) that mean nothing here. */
import { MAX_ID } from '../config/accounts.js';
import { DmiofsError } from '../errors.js';

export interface MountOptionSet {
  readonly allowOther: boolean;
  readonly readOnly: boolean;
  readonly uid: number | undefined;
  readonly gid: number | undefined;
  readonly umask: number | undefined;
  readonly sets: readonly string[];
  /** Handed to libfuse: each becomes a flag of the mount. */
  readonly generic: readonly string[];
  /** mount -o remount: an existing mount's flags are to change. */
  readonly remount: boolean;
}

/** Our own options with their help: for `--help` and the manual. */
export const OWN_OPTIONS: readonly { readonly option: string; readonly describe: string }[] = [
  {
    option: 'allow_other',
    describe: "users other than who mounted may use the files, as the files' modes allow them to",
  },
  { option: 'ro', describe: 'nothing is written, no leg either: no resync runs' },
  { option: 'uid=NUMBER', describe: "owner of the files instead of the config's" },
  { option: 'gid=NUMBER', describe: "group of the files instead of the config's" },
  { option: 'umask=OCTAL', describe: "permission bits taken away from the files' modes" },
  { option: 'set=NAME', describe: 'only this set; may be given more than once' },
];

/** Those that become flags of the mount. */
export const GENERIC_OPTIONS: ReadonlySet<string> = new Set([
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
  'default_permissions', // always on
  'defaults',
  'auto',
  'noauto',
  'nofail',
  '_netdev',
  'user',
  'nouser',
  'users',
  'nousers',
  'owner',
  'noowner',
  'group',
  'nogroup',
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
  'mand',
  'nomand',
  'symfollow',
  'nosymfollow',
]);
const IGNORED_WITH_VALUE = new Set(['comment', 'user', 'helper', 'uhelper']);

const isIgnored = (name: string, value: string | undefined): boolean =>
  value === undefined
    ? IGNORED.has(name) || /^x-/i.test(name)
    : IGNORED_WITH_VALUE.has(name) || /^x-/i.test(name);

function number(name: string, value: string, base: 8 | 10): number {
  const pattern = base === 8 ? /^[0-7]{1,4}$/ : /^[0-9]{1,10}$/;
  if (!pattern.test(value) || Number.parseInt(value, base) > MAX_ID)
    throw new DmiofsError(
      'ERR_DMIOFS_USAGE',
      `-o ${name}=${value}: ${base === 8 ? 'an octal number' : 'a number'} is wanted`,
    );
  return Number.parseInt(value, base);
}

/** Splits at commas, as mount(8) does: not at those in double quotes, which are taken off. */
export function splitOptions(text: string): readonly string[] {
  return (text.match(/(?:"[^"]*"|[^,"]|")+/g) ?? []).map((option) => option.replace(/"([^"]*)"/g, '$1'));
}

/** `sloppy`: unknown options are passed over (mount -s). */
export function parseMountOptions(texts: readonly string[], sloppy = false): MountOptionSet {
  const found = {
    allowOther: false,
    readOnly: false,
    uid: undefined as number | undefined,
    gid: undefined as number | undefined,
    umask: undefined as number | undefined,
    remount: false,
  };
  const sets: string[] = [];
  const generic: string[] = [];
  const options = texts.flatMap(splitOptions);
  // A remount is given all that the kernel shows of the mount: user_id=0, default_permissions ...
  const lax = sloppy || options.includes('remount');
  for (const option of options) {
    const cut = option.indexOf('=');
    const name = cut < 0 ? option : option.slice(0, cut);
    const value = cut < 0 ? undefined : option.slice(cut + 1);
    if (option === 'allow_other') found.allowOther = true;
    else if (option === 'ro') found.readOnly = true;
    else if (option === 'rw') found.readOnly = false;
    else if (option === 'remount') found.remount = true;
    else if (name === 'uid') found.uid = number(name, value ?? '', 10);
    else if (name === 'gid') found.gid = number(name, value ?? '', 10);
    else if (name === 'umask') found.umask = number(name, value ?? '', 8);
    else if (name === 'set' && value !== undefined && value !== '') sets.push(value);
    else if (GENERIC_OPTIONS.has(option)) generic.push(option);
    else if (!isIgnored(name, value) && !lax) {
      throw new DmiofsError(
        'ERR_DMIOFS_USAGE',
        `-o ${option}: no such option; there are allow_other, ro, uid=, gid=, umask=, set= and the generic ones of mount(8)`,
      );
    }
  }
  return { ...found, sets, generic };
}

/** The arguments of `dmiofs mount` that say the same. */
export function mountOptionArgs(options: MountOptionSet): readonly string[] {
  const texts = [
    options.readOnly ? 'ro' : 'rw',
    ...(options.allowOther ? ['allow_other'] : []),
    ...(options.uid === undefined ? [] : [`uid=${String(options.uid)}`]),
    ...(options.gid === undefined ? [] : [`gid=${String(options.gid)}`]),
    ...(options.umask === undefined ? [] : [`umask=${options.umask.toString(8)}`]),
    ...options.generic,
  ];
  return ['-o', texts.join(','), ...options.sets.flatMap((set) => ['--set', set])];
}
