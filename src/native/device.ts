/** A device as it is looked at before it is used (native/device/device.h). */

export interface DeviceProbe {
  readonly path: string;
  readonly kind: 'block' | 'file';
  readonly sizeBytes: number;
  /** Bytes; I/O must be aligned to it. */
  readonly logicalBlockSize: number;
  readonly direct: boolean;
  /** The device or its file system cannot be written. */
  readonly readOnly: boolean;
  /** st_rdev of a block device, 0 of a file, in decimal. */
  readonly rdev: string;
  /** st_dev of the file system that holds a file, 0 of a block device, in decimal. */
  readonly dev: string;
  readonly inode: string;
  readonly serial: string;
}
