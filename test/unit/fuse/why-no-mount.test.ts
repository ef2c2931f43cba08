import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { whyNoDevice, whyNoMount } from '../../../src/fuse/why-no-mount.js';

it('tells what is in the place of the FUSE device', () => {
  const folder = mkdtempSync(join(tmpdir(), 'dmiofs-why-'));
  chmodSync(folder, 0o755);
  try {
    expect(whyNoDevice(join(folder, 'fuse'))).toMatch(/^there is no .*fuse: load the fuse module .*--device/);
    expect(whyNoDevice('/dev/null')).toContain('/dev/null is not the FUSE device');
    expect(whyNoMount(1000, '/dev/null')).toContain('not the FUSE device');
  } finally {
    rmSync(folder, { recursive: true });
  }
});

it.skipIf(whyNoDevice() !== undefined)(
  'tells what is missing where the device is there (needs /dev/fuse)',
  () => {
    expect(whyNoMount(0, undefined, 'CapEff:\t000001ffffffffff\n')).toBeUndefined();
    expect(whyNoMount(0, undefined, 'CapEff:\t00000000a80425fb\n')).toContain('--cap-add SYS_ADMIN');
    expect(whyNoMount(1000)).toContain('fusermount3');
  },
);
