/** A change of a set's legs in the text of a config: comments and order stay. */
import { isMap, isScalar, isSeq, type Document, type YAMLMap, type YAMLSeq } from 'yaml';
import { DmiofsError } from '../errors.js';
import type { LegChange, LegPlace } from '../mirror/legs-keeper.js';
import { formatSize } from '../util/size.js';
import { parseYaml } from './yaml.js';

function byHand(file: string, what: string): DmiofsError {
  return new DmiofsError(
    'ERR_DMIOFS_CONFIG',
    `${file}: ${what} is written with a YAML alias or merge, which a change would spread: edit it by hand`,
  );
}

function regionsOf(file: string, document: Document, set: string): YAMLSeq {
  const regions = document.getIn(['sets', set, 'regions'], true);
  if (!isSeq(regions)) throw byHand(file, `sets.${set}.regions`);
  return regions;
}

function regionAt(file: string, set: string, regions: YAMLSeq, leg: number): YAMLMap {
  const region = regions.items[leg];
  if (!isMap(region) || !region.has('device')) throw byHand(file, `sets.${set}.regions[${String(leg)}]`);
  return region;
}

function put(region: YAMLMap, { device, sector }: LegPlace): void {
  region.set('device', device);
  if (sector !== 0 || region.has('sector')) region.set('sector', sector);
}

function scalar(region: YAMLMap, key: string): unknown {
  const value = region.get(key, true);
  return isScalar(value) ? value.value : value;
}

function addRegion(document: Document, regions: YAMLSeq, { device, sector }: LegPlace): void {
  const maps = regions.items.filter((item) => isMap(item));
  const count = maps.map((region) => scalar(region, 'count')).find((value) => value !== undefined);
  const region = document.createNode({
    device,
    ...(sector === 0 ? {} : { sector }),
    ...(typeof count === 'number' ? { count } : {}),
  });
  region.flow = maps.length > 0 && maps.every(({ flow }) => flow === true);
  regions.items.push(region);
}

function apply(file: string, document: Document, set: string, change: LegChange): void {
  const regions = regionsOf(file, document, set);
  switch (change.kind) {
    case 'add':
      addRegion(document, regions, change);
      return;
    case 'remove':
      regionAt(file, set, regions, change.leg);
      regions.items.splice(change.leg, 1);
      return;
    case 'place':
      put(regionAt(file, set, regions, change.leg), change);
      return;
    case 'replace': {
      const { device, sector } = change;
      const node = document.createNode(sector === 0 ? { device } : { device, sector });
      node.flow = true;
      regionAt(file, set, regions, change.leg).set('replacement', node);
      return;
    }
    case 'promote': {
      const region = regionAt(file, set, regions, change.leg);
      const coming = region.get('replacement', true);
      if (!isMap(coming)) throw byHand(file, `sets.${set}.regions[${String(change.leg)}].replacement`);
      put(region, {
        device: String(scalar(coming, 'device')),
        sector: Number(scalar(coming, 'sector') ?? 0),
      });
      region.delete('replacement');
      return;
    }
    case 'give-up':
      regionAt(file, set, regions, change.leg).delete('replacement');
      return;
    default:
      change satisfies never;
  }
}

/** As the file has it: lists under a key begin at the key's column or further right; `{a: 1}` or `{ a: 1 }`. */
function styleOf(text: string): { lineWidth: 0; indentSeq: boolean; flowCollectionPadding: boolean } {
  return {
    lineWidth: 0,
    indentSeq: !/^( *)[^\s#-][^\n]*:[ \t]*(?:#[^\n]*)?\n(?:[ \t]*(?:#[^\n]*)?\n)*\1- /m.test(text),
    flowCollectionPadding: !/[[{][^\s[\]{}]/.test(text),
  };
}

/** How far JSON is indented; undefined: the text is not JSON. */
function jsonIndent(text: string): string | undefined {
  try {
    JSON.parse(text);
  } catch {
    return undefined;
  }
  return /\n([ \t]+)/.exec(text)?.[1] ?? '';
}

/** The text after the change. `size`: bytes to name as the set's size from now on. */
export function editLegs(
  file: string,
  text: string,
  set: string,
  change: LegChange,
  size: number | undefined,
): string {
  const { document } = parseYaml(file, text);
  apply(file, document, set, change);
  if (size !== undefined) document.setIn(['sets', set, 'size'], formatSize(size));
  const indent = jsonIndent(text);
  return indent === undefined
    ? document.toString(styleOf(text))
    : `${JSON.stringify(document.toJS(), null, indent)}\n`;
}
