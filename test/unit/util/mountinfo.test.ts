import { expect, test } from 'vitest';
import { parseMountInfo } from '../../../src/util/mountinfo.js';

test('reads escaped paths, optional fields and lines that are cut off', () => {
  const text = [
    '36 35 98:0 / /mnt/with\\040blank rw,noatime master:1 shared:2 - ext3 /dev/root\\011x rw',
    '41 35 0:41 / /mnt/d rw - fuse.dmiofs /etc/d.yaml rw,user_id=0',
    '43 35 0:41 /a\\040b /srv/one rw - fuse.dmiofs /etc/d.yaml rw,user_id=0',
    '42 35 0:42 / /mnt/cut',
    '',
  ].join('\n');
  expect(parseMountInfo(text)).toEqual([
    { device: '98:0', root: '/', mountpoint: '/mnt/with blank', type: 'ext3', source: '/dev/root\tx' },
    { device: '0:41', root: '/', mountpoint: '/mnt/d', type: 'fuse.dmiofs', source: '/etc/d.yaml' },
    { device: '0:41', root: '/a b', mountpoint: '/srv/one', type: 'fuse.dmiofs', source: '/etc/d.yaml' },
  ]);
});
