/** Wrong use of the dm-io API does not compile: each line below is an error to tsc, which lint runs. Nothing here is called. */
import { expect, it } from 'vitest';
import {
  type BioVec,
  type BlockDevice,
  dmIoAsyncVm,
  dmIoSync,
  dmIoSyncBvec,
  dmIoSyncVm,
  type IoRegion,
  READ,
  WRITE,
} from '../../../src/dmio/index.js';

export function wrongUse(bdev: BlockDevice, data: Uint8Array): void {
  const regions: IoRegion[] = [{ bdev, sector: 0, count: 1 }];
  // @ts-expect-error a region needs a count
  dmIoSyncVm([{ bdev, sector: 0 }], WRITE, data);
  // @ts-expect-error a path is not a device
  dmIoSyncVm([{ bdev: '/dev/sda', sector: 0, count: 1 }], WRITE, data);
  // @ts-expect-error sectors are numbers
  dmIoSyncVm([{ bdev, sector: 0n, count: 1 }], WRITE, data);
  // @ts-expect-error rw is READ or WRITE
  dmIoSyncVm(regions, 'write', data);
  // @ts-expect-error an ArrayBuffer is not a view
  dmIoSyncVm(regions, READ, data.buffer);
  // @ts-expect-error a page list needs its offset
  dmIoSync(regions, READ, null);
  // @ts-expect-error a vector has an offset
  dmIoSyncBvec(regions, READ, [{ page: data, len: 512 }]);
  // @ts-expect-error the callback's error is a bigint
  dmIoAsyncVm(regions, READ, data, (error: number) => error, null);
  // @ts-expect-error the context has one type
  dmIoAsyncVm(regions, READ, data, (_error: bigint, context: string) => context.length, 5);
  // @ts-expect-error a result is not to be changed
  dmIoSyncVm(regions, READ, data).errorBits = 1n;
  const vec: BioVec = { page: data, len: 512, offset: 0 };
  // @ts-expect-error nor is a vector
  vec.len = 1024;
}

it('is checked by tsc', () => {
  expect(typeof wrongUse).toBe('function');
});
