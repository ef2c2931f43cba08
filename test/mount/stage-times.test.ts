/** How long each stage of a request takes: asked for at the mount, shown by status. */
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { mountStatusSchema } from '../../src/mirror/status-schema.js';
import { canMount, DMIOFS, MIB, must, run, Scene, sh } from '../helpers/mounted.js';

let scene: Scene;
let config: string;
let mountpoint: string;

describe.skipIf(!canMount)('stage times', () => {
  beforeEach(async () => {
    scene = new Scene();
    config = scene.config({
      data: { regions: [{ device: './a.img' }, { device: './b.img' }], size: 4 * MIB },
    });
    mountpoint = scene.folder('mnt');
    await must(DMIOFS, 'init', config);
  });
  afterEach(() => scene.close());

  it('are taken of every read, write and flush', async () => {
    const mounted = await run(DMIOFS, ['mount', config, mountpoint], { env: { DMIOFS_STAGE_TIMES: '1' } });
    expect(mounted.stderr).toBe('');
    await scene.adopt(mountpoint);
    const file = join(mountpoint, 'data');
    await sh(`dd if=/dev/zero of=${file} bs=4k count=10 oflag=direct conv=notrunc,fsync status=none
      dd if=${file} of=/dev/null bs=4k count=20 iflag=direct status=none`);
    const { stages } = mountStatusSchema.parse(await scene.status(mountpoint));
    expect(stages?.write.submitted?.count).toBe(10);
    expect(stages?.write['dirty-marked']?.count).toBe(10);
    expect(stages?.read.completed?.count).toBe(20);
    expect(stages?.read['dirty-marked']).toBeUndefined();
    expect(stages?.flush.whole?.count).toBe(1);
    expect(stages?.write.whole?.p50).toBeLessThanOrEqual(stages?.write.whole?.max ?? 0);
  });

  it('are not taken else', async () => {
    await scene.mount(config, mountpoint);
    expect(await scene.status(mountpoint)).not.toHaveProperty('stages');
  });
});
