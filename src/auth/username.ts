/**
 * What is wrong with a username of 1 to 255 characters that somebody wants to give, or undefined. Log-in takes usernames exactly: what nobody sees
 * in one, or two spellings of one letter, would make look-alikes. The legacy system's usernames stay as they are.
 */
export function usernameFault(username: string): string | undefined {
  if (username.trim() !== username) return "must not begin or end with blanks";
  // The last one is a braille pattern without a dot.
  if (/[\p{C}\p{Z}\p{DI}\u2800]/u.test(username.replaceAll(" ", "")))
    return "must not contain control characters or invisible ones";
  if (username.normalize("NFC") !== username) return "must be in Unicode's normalization form C";
  return undefined;
}
