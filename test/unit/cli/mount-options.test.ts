import { describe, expect, test } from 'vitest';
import { mountOptionArgs, parseMountOptions, splitOptions } from '../../../src/cli/mount-options.js';

const nothing = {
  allowOther: false,
  readOnly: false,
  uid: undefined,
  gid: undefined,
  umask: undefined,
  sets: [],
  generic: [],
  remount: false,
};

describe('the options of -o', () => {
  test.each([
    ['', []],
    [',,a,', ['a']],
    ['a=b=c,d', ['a=b=c', 'd']],
    ['set="a,b",ro', ['set=a,b', 'ro']],
    ['set=a"b,ro', ['set=a"b', 'ro']],
    ['""', ['']],
  ])('%j is split at commas outside of quotes', (text, expected) => {
    expect(splitOptions(text)).toEqual(expected);
  });

  test('ours are read, several -o together, the last of ro and rw counts', () => {
    expect(
      parseMountOptions(['ro,allow_other,uid=5', 'gid=6,umask=027', 'set=a,set=b,nodev,noatime']),
    ).toEqual({
      ...nothing,
      allowOther: true,
      readOnly: true,
      uid: 5,
      gid: 6,
      umask: 0o27,
      sets: ['a', 'b'],
      generic: ['nodev', 'noatime'],
    });
    expect(parseMountOptions(['ro,rw']).readOnly).toBe(false);
  });

  test.each([
    'bogus',
    'uid=',
    'uid',
    'uid=-1',
    'uid=4294967295',
    'gid=9999999999',
    'umask=8',
    'umask',
    'set',
    'set=',
    'ro=1',
    'allow_other=1',
    'nodev=1',
    'nofail=1',
    'defaults=x',
    'modules=x',
    'dmiofs_mount=1',
    'fsname=x',
  ])('%s is refused', (option) => {
    expect(() => parseMountOptions([option])).toThrow(`-o ${option}`);
  });

  test.each([
    'defaults',
    'nofail',
    'default_permissions',
    '_netdev',
    'user',
    'user=joe',
    'x-systemd.after=a=b',
    'X-mount.mkdir=0755',
  ])('%s is passed over', (option) => {
    expect(parseMountOptions([option])).toEqual(nothing);
  });

  test('sloppy, and a remount, pass over what is unknown, not what is wrong', () => {
    expect(parseMountOptions(['bogus,ro'], true)).toEqual({ ...nothing, readOnly: true });
    expect(() => parseMountOptions(['uid=x'], true)).toThrow('-o uid=x');
    expect(parseMountOptions(['remount,rw,user_id=0'])).toEqual({ ...nothing, remount: true });
  });

  test('the arguments for dmiofs mount say the same again', () => {
    const options = parseMountOptions(['ro,allow_other,uid=5,gid=6,umask=27,set="a,b",nosuid']);
    const args = mountOptionArgs(options);
    expect(args).toEqual(['-o', 'ro,allow_other,uid=5,gid=6,umask=27,nosuid', '--set', 'a,b']);
    expect({ ...parseMountOptions([args[1] ?? '']), sets: ['a,b'] }).toEqual(options);
  });
});
