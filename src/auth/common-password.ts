import { longPasswords, words } from "./common-password-list.ts";

let lists: { long: Set<string>; words: Set<string> } | undefined;

/** What somebody who attacks this very service tries, in any order and number, whatever stands between. */
const ownWords =
  /^(nexgen|erp|finances?|api|admin|viewer|editor|user|purchase|orders?|vendors?|clients?|invoices?|password)+$/;

/** How letters are written that are to look like a better password. */
const disguises: Record<string, string> = {
  "0": "o",
  "1": "i",
  "3": "e",
  "4": "a",
  "5": "s",
  "7": "t",
  "@": "a",
  $: "s",
  "!": "i",
};

/**
 * Whether it is a password that everybody tries first: one of the lists, a common one between digits and signs
 * (`Password2024!`) or in disguise (`P@ssw0rd-2024`), made of this service's own words
 * (`Nexgen@Finance-26`), the same few characters again and again, or a sequence.
 */
export function isCommon(password: string): boolean {
  const folded = password.normalize("NFKC").toLowerCase();
  // What stands around a word is cut off first: it may be a disguise as well as a decoration.
  const bare = folded.replace(/[^\p{L}@$]+$/u, "");
  const readable = bare.replace(/[0134577@$!]/g, (sign) => disguises[sign] ?? sign);
  return isOnAList(folded) || isOnAList(readable) || new Set(folded).size < 5 || isSequence(folded);
}

function isOnAList(folded: string): boolean {
  // At the first use: most isolates never set a password.
  lists ??= { long: new Set(longPasswords.split(" ")), words: new Set(words.split(" ")) };
  const word = folded.replace(/^\P{L}+|\P{L}+$/gu, "");
  return (
    lists.long.has(folded) ||
    lists.words.has(word) ||
    ownWords.test(folded.replaceAll(/\P{L}/gu, "")) ||
    isRepeated(folded, lists.words) ||
    isRepeated(word, lists.words)
  );
}

/** Such as `abcdefghijkl` or `123456654321`: most characters are the one before or its neighbour. */
function isSequence(text: string): boolean {
  const codes = Array.from(text, (character) => character.codePointAt(0) ?? 0);
  const steps = codes.slice(1).filter((code, index) => Math.abs(code - (codes[index] ?? 0)) <= 1);
  return steps.length >= (codes.length - 1) * 0.7;
}

function isRepeated(text: string, common: ReadonlySet<string>): boolean {
  for (let length = 1; length <= text.length / 2; length++) {
    const unit = text.slice(0, length);
    if ((length <= 4 || common.has(unit)) && unit.repeat(Math.ceil(text.length / length)).startsWith(text)) return true;
  }
  return false;
}
