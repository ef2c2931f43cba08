/** Text from elsewhere on a terminal: control characters and those that turn the direction of writing are shown by their number. */

const UNSAFE = /[\u0000-\u001f\u007f-\u009f\u200b-\u200f\u2028-\u202e\u2066-\u2069\ufeff]/g;

export function printable(text: string): string {
  return text.replace(UNSAFE, (found) => `\\u{${(found.codePointAt(0) ?? 0).toString(16).padStart(2, '0')}}`);
}
