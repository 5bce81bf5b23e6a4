import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { dictionary } from "@zxcvbn-ts/language-common";

/** Written by `npm run check -- --write`, committed: of the package's list the Worker needs a tenth. */
export const commonPasswordFile = join(
  fileURLToPath(new URL("..", import.meta.url)),
  "src/auth/common-password-list.ts",
);

/** So many of the most common passwords give the words that one must not merely decorate. */
const mostCommon = 5000;

/** The text of that file. */
export function commonPasswordModule(): string {
  const passwords = dictionary["passwords-common"] ?? [];
  const words = passwords.slice(0, mostCommon).map((password) => password.replace(/^[^a-z]+|[^a-z]+$/g, ""));
  const constant = (name: string, about: string, list: string[]) =>
    `/** ${about} */\nexport const ${name} =\n  ${JSON.stringify([...new Set(list)].toSorted().join(" "))};\n`;
  return [
    "// From @zxcvbn-ts/language-common (MIT), by `npm run check -- --write`: not to be edited.\n",
    constant(
      "longPasswords",
      "Common passwords of 12 characters and more.",
      passwords.filter((password) => password.length >= 12),
    ),
    constant(
      "words",
      `What the ${mostCommon} most common ones are without digits and signs at their ends.`,
      words.filter((word) => word.length >= 4),
    ),
  ].join("\n");
}
