/** BlockDevice: a block device or image file that I/O regions lie on (the kernel's struct block_device). */
import { DmiofsError } from '../errors.js';
import { native } from '../native/binding.js';
import type { NativeDevice } from '../native/dmio.js';

export interface BlockDeviceOptions {
  readonly writable: boolean;
  /** Nobody else may have it: O_EXCL on a block device, a lock on a file. Default: writable. */
  readonly exclusive?: boolean;
}

const secret = Symbol('BlockDevice');

/** Opens with {@link BlockDevice.open}; `close` waits for the requests in flight. */
export class BlockDevice {
  readonly path: string;
  /** Its size in sectors of 512 bytes. */
  readonly sectors: number;
  /** Bytes: sector and count of an I/O region must be multiples of it. */
  readonly logicalBlockSize: number;
  readonly writable: boolean;
  readonly #device: NativeDevice;
  #inFlight = 0;
  #closing: Promise<void> | undefined;
  #onIdle: (() => void) | undefined;

  private constructor(key: symbol, device: NativeDevice) {
    if (key !== secret)
      throw new DmiofsError('ERR_DMIOFS_INVALID_ARG', 'BlockDevice.open makes a BlockDevice');
    this.path = device.path;
    this.sectors = device.sectors;
    this.logicalBlockSize = device.logicalBlockSize;
    this.writable = device.writable;
    this.#device = device;
  }

  /** Rejects with a NativeError: ENOENT, EACCES, EBUSY (in use), EROFS, ENOTBLK (neither block device nor file). */
  static async open(path: string, options: BlockDeviceOptions): Promise<BlockDevice> {
    if (typeof path !== 'string' || path === '')
      throw new DmiofsError('ERR_DMIOFS_INVALID_ARG', 'path must be a path');
    const { writable, exclusive = writable } = options;
    return new BlockDevice(secret, await native().openDevice(path, { writable, exclusive }));
  }

  get closed(): boolean {
    return this.#closing !== undefined;
  }

  /** No request can be started from now on; resolves when those in flight have ended. Idempotent. */
  close(): Promise<void> {
    this.#closing ??= new Promise<void>((resolve) => {
      const release = (): void => {
        this.#device.release();
        resolve();
      };
      if (this.#inFlight === 0) release();
      else this.#onIdle = release;
    });
    return this.#closing;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  /** @internal The native device for a request about to start, which {@link endRequest} ends. */
  beginRequest(): NativeDevice {
    this.#inFlight += 1;
    return this.#device;
  }

  /** @internal */
  endRequest(): void {
    this.#inFlight -= 1;
    if (this.#inFlight === 0) this.#onIdle?.();
  }
}
