import { longPasswords, words } from "./common-password-list.ts";

let lists: { long: Set<string>; words: Set<string> } | undefined;

/** What somebody who attacks this very service tries, in any order and number, whatever stands between. */
const ownWords = /^(nexgen|erp|finances?|api|admin|purchase|orders?|vendors?|clients?|invoices?|password)+$/;

/**
 * Whether it is a password that everybody tries first: one of the lists, a common one between digits and signs
 * (`Password2024!`), made of this service's own words (`Nexgen@Finance-26`), or the same few characters again and again.
 */
export function isCommon(password: string): boolean {
  // At the first use: most isolates never set a password.
  lists ??= { long: new Set(longPasswords.split(" ")), words: new Set(words.split(" ")) };
  const folded = password.toLowerCase();
  const word = folded.replace(/^\P{L}+|\P{L}+$/gu, "");
  return (
    lists.long.has(folded) ||
    lists.words.has(word) ||
    ownWords.test(folded.replaceAll(/\P{L}/gu, "")) ||
    isRepeated(folded, lists.words)
  );
}

function isRepeated(text: string, common: ReadonlySet<string>): boolean {
  for (let length = 1; length <= text.length / 2; length++) {
    const unit = text.slice(0, length);
    if ((length <= 4 || common.has(unit)) && unit.repeat(Math.ceil(text.length / length)).startsWith(text)) return true;
  }
  return false;
}
