/** A change of a set's legs in the text of a config: comments and order stay. */
import {
  type Alias,
  type Document,
  isMap,
  isScalar,
  isSeq,
  type Node,
  Scalar,
  visit,
  type YAMLMap,
  type YAMLSeq,
} from 'yaml';
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

/** Takes `going` away by `take`. What in it is an anchor of others goes on in the first alias of it, which the others then follow. */
function takeAway(document: Document, going: unknown, take: () => void): void {
  const leaving = new Set<unknown>();
  visit(going as Node, {
    Node: (_, node) => {
      leaving.add(node);
    },
  });
  const anchorOf = new Map<Alias, Node>();
  visit(document, {
    Alias: (_, alias) => {
      const anchored = alias.resolve(document);
      if (anchored !== undefined && leaving.has(anchored)) anchorOf.set(alias, anchored);
    },
  });
  take();
  const handed = new Set<Node>();
  visit(document, {
    Alias: (_, alias) => {
      const anchored = anchorOf.get(alias);
      if (anchored === undefined || handed.has(anchored)) return undefined;
      handed.add(anchored);
      const { comment, commentBefore, spaceBefore } = alias;
      return Object.assign(anchored.clone() as Node, { comment, commentBefore, spaceBefore });
    },
  });
}

/** Comments and quotes stay; an anchor does not: whoever follows it means the old value. */
function putScalar(document: Document, region: YAMLMap, key: string, value: string | number): void {
  const old: unknown = region.get(key, true);
  if (!isScalar(old)) {
    region.set(key, value);
    return;
  }
  const { comment, commentBefore, spaceBefore, type } = old;
  const fresh = Object.assign(new Scalar(value), { comment, commentBefore, spaceBefore, type });
  takeAway(document, old, () => {
    region.set(key, fresh);
  });
}

function put(document: Document, region: YAMLMap, { device, sector }: LegPlace): void {
  putScalar(document, region, 'device', device);
  if (sector !== 0 || region.has('sector')) putScalar(document, region, 'sector', sector);
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
      takeAway(document, regionAt(file, set, regions, change.leg), () => {
        regions.items.splice(change.leg, 1);
      });
      return;
    case 'place':
      put(document, regionAt(file, set, regions, change.leg), change);
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
      put(document, region, {
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
  const changed =
    indent === undefined
      ? document.toString(styleOf(text))
      : `${JSON.stringify(document.toJS(), null, indent)}\n`;
  return /\r\n/.test(text) && !/[^\r]\n/.test(text) ? changed.replaceAll('\n', '\r\n') : changed;
}
