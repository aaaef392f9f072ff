import { Buffer } from "node:buffer";

/**
 * Just enough BSON (https://bsonspec.org/spec.html) to walk an archive: elements are found, compared
 * and put together as raw bytes, so that every type survives untouched.
 */

/** One element of a document. Its bytes are views of the document. */
export interface Element {
  readonly type: number;
  readonly name: string;
  /** Type, name and value. */
  readonly raw: Uint8Array;
  /** The value alone. */
  readonly value: Uint8Array;
}

/** The types that the archive and the oplog use for what matters here. */
export const types = {
  string: 0x02,
  document: 0x03,
  array: 0x04,
  boolean: 0x08,
  date: 0x09,
  int32: 0x10,
  timestamp: 0x11,
  int64: 0x12,
} as const;

const smallestDocument = 5;
/** MongoDB's limit of 16 MiB, and the 16 KiB that it grants its own documents in the oplog. */
const largestDocument = 16 * 1024 * 1024 + 16 * 1024;

/** Bytes that are not BSON. */
export class BsonError extends Error {
  override readonly name = "BsonError";
}

// A name may begin with U+FEFF, which a decoder drops unless told otherwise.
const decoder = new TextDecoder("utf-8", { ignoreBOM: true });
const encoder = new TextEncoder();

/** The elements of a document, in order. @throws BsonError */
export function* elements(document: Uint8Array): Generator<Element> {
  const end = document.byteLength - 1;
  if (end < 4 || int32At(document, 0) !== end + 1 || document[end] !== 0) throw new BsonError();
  for (let at = 4; at < end;) {
    const type = document[at]!;
    const nameEnd = document.indexOf(0, at + 1);
    if (nameEnd < 0 || nameEnd >= end) throw new BsonError();
    const start = nameEnd + 1;
    const next = start + valueLength(type, document, start, end);
    if (next > end) throw new BsonError();
    yield {
      type,
      name: decoder.decode(document.subarray(at + 1, nameEnd)),
      raw: document.subarray(at, next),
      value: document.subarray(start, next),
    };
    at = next;
  }
}

/** The element of this name, or undefined. @throws BsonError */
export function find(document: Uint8Array, name: string): Element | undefined {
  for (const element of elements(document)) {
    if (element.name === name) return element;
  }
  return undefined;
}

/** The text of a string element; undefined for another type. @throws BsonError */
export function text(element: Element | undefined): string | undefined {
  if (element?.type !== types.string) return undefined;
  const { value } = element;
  if (value.byteLength < 5 || value[value.byteLength - 1] !== 0) throw new BsonError();
  return decoder.decode(value.subarray(4, value.byteLength - 1));
}

/** The truth of a boolean element; undefined for another type. @throws BsonError */
export function truth(element: Element | undefined): boolean | undefined {
  if (element?.type !== types.boolean) return undefined;
  if (element.value[0]! > 1) throw new BsonError();
  return element.value[0] === 1;
}

/** Whether a value is there and not zero or false, of whatever type. */
export function isSet(element: Element | undefined): boolean {
  return element !== undefined && element.value.some((byte) => byte !== 0);
}

/** The document or array inside an element; undefined for another type. */
export function inner(element: Element | undefined): Uint8Array | undefined {
  return element?.type === types.document || element?.type === types.array
    ? element.value
    : undefined;
}

/** The two halves of an 8-byte value: timestamps hold seconds in the upper, a counter below. */
export function halves(element: Element | undefined): readonly [number, number] | undefined {
  if (element?.value.byteLength !== 8) return undefined;
  return [int32At(element.value, 4), int32At(element.value, 0)];
}

/** Bytes as a text, to compare them and to look them up by. */
export function keyOf(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("latin1");
}

/** A value with its type as a text, to look it up by. */
export function valueKey({ type, value }: Pick<Element, "type" | "value">): string {
  return `${type} ${keyOf(value)}`;
}

/** Whether a document can be of this length, in bytes. */
export function isDocumentLength(length: number): boolean {
  return length >= smallestDocument && length <= largestDocument;
}

/** A little-endian signed 32-bit integer. */
export function int32At(bytes: Uint8Array, at: number): number {
  return bytes[at]! | bytes[at + 1]! << 8 | bytes[at + 2]! << 16 | bytes[at + 3]! << 24;
}

/** Puts a document together from raw elements. */
export function documentOf(raws: readonly Uint8Array[]): Uint8Array {
  const length = raws.reduce((sum, raw) => sum + raw.byteLength, 5);
  const document = new Uint8Array(length);
  new DataView(document.buffer).setInt32(0, length, true);
  let at = 4;
  for (const raw of raws) {
    document.set(raw, at);
    at += raw.byteLength;
  }
  return document;
}

/** A document without a field. */
export const noDocument = documentOf([]);

/** A string element. */
export function stringElement(name: string, value: string): Uint8Array {
  const content = encoder.encode(value);
  const bytes = new Uint8Array(4 + content.byteLength + 1);
  new DataView(bytes.buffer).setInt32(0, content.byteLength + 1, true);
  bytes.set(content, 4);
  return element(types.string, name, bytes);
}

/** A boolean element. */
export function booleanElement(name: string, value: boolean): Uint8Array {
  return element(types.boolean, name, Uint8Array.of(value ? 1 : 0));
}

/** A 32-bit integer element. */
export function int32Element(name: string, value: number): Uint8Array {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setInt32(0, value, true);
  return element(types.int32, name, bytes);
}

/** A 64-bit integer element, from its halves. */
export function int64Element(name: string, [upper, lower]: readonly [number, number]): Uint8Array {
  const bytes = new Uint8Array(8);
  const view = new DataView(bytes.buffer);
  view.setInt32(0, lower, true);
  view.setInt32(4, upper, true);
  return element(types.int64, name, bytes);
}

/** An element of any type, from its value's bytes. */
export function element(type: number, name: string, value: Uint8Array): Uint8Array {
  const key = encoder.encode(name);
  const bytes = new Uint8Array(1 + key.byteLength + 1 + value.byteLength);
  bytes[0] = type;
  bytes.set(key, 1);
  bytes.set(value, 1 + key.byteLength + 1);
  return bytes;
}

function valueLength(type: number, bytes: Uint8Array, at: number, end: number): number {
  switch (type) {
    case 0x01: // double
    case types.date:
    case types.timestamp:
    case types.int64:
      return 8;
    case types.string:
    case 0x0d: // code
    case 0x0e: // symbol
      return 4 + prefix(bytes, at, end);
    case types.document:
    case types.array:
    case 0x0f: // code with scope: the length counts itself
      return prefix(bytes, at, end);
    case 0x05: // binary: a subtype stands before the bytes
      return 5 + prefix(bytes, at, end);
    case 0x07: // ObjectId
      return 12;
    case types.boolean:
      return 1;
    case 0x0b: { // regular expression: two texts that end in 0
      const first = bytes.indexOf(0, at);
      const second = first < 0 ? -1 : bytes.indexOf(0, first + 1);
      if (second < 0) throw new BsonError();
      return second + 1 - at;
    }
    case 0x0c: // DBPointer
      return 4 + prefix(bytes, at, end) + 12;
    case types.int32:
      return 4;
    case 0x13: // decimal128
      return 16;
    case 0x06: // undefined
    case 0x0a: // null
    case 0x7f: // MaxKey
    case 0xff: // MinKey
      return 0;
    default:
      throw new BsonError();
  }
}

function prefix(bytes: Uint8Array, at: number, end: number): number {
  const length = at + 4 > end ? -1 : int32At(bytes, at);
  if (length < 0) throw new BsonError();
  return length;
}
