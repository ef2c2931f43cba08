/** probeDevice without the addon: real files, and devices that the test makes up. */
import { statSync } from 'node:fs';
import type { DeviceProbe } from '../../src/native/device.js';
import type { NativeError } from '../../src/native/error.js';

const ERRNOS: Readonly<Record<string, number>> = { ENOENT: 2, EIO: 5, EACCES: 13 };

export function nativeError(code: string, object: string): NativeError {
  const errno = ERRNOS[code] ?? 22;
  return Object.assign(new Error(`open ${object}: ${code}`), { code, errno, step: 'open', object, hint: '' });
}

/** `made`: what the probe of a path says, beside what the file there says, or the code of its error. */
export function fakeProbe(
  made: Readonly<Record<string, Partial<DeviceProbe> | string>> = {},
): (path: string) => DeviceProbe {
  return (path) => {
    const wanted = made[path];
    if (typeof wanted === 'string') throw nativeError(wanted, path);
    const stat = statSync(path, { bigint: true, throwIfNoEntry: false });
    if (stat === undefined && wanted === undefined) throw nativeError('ENOENT', path);
    return {
      path,
      kind: 'file',
      sizeBytes: Number(stat?.size ?? 0),
      logicalBlockSize: 512,
      direct: true,
      readOnly: false,
      rdev: '0',
      dev: String(stat?.dev ?? 0),
      inode: String(stat?.ino ?? 0),
      serial: '',
      ...wanted,
    };
  };
}
