/** A statement that code of before it may not survive, or that loses data; `line` counts from 1. */
export interface Destructive {
  line: number;
  /** The statement, shortened; literals and bodies are left out. */
  statement: string;
  reason: string;
}

interface Statement {
  line: number;
  /** Without comments; literals, bodies and names in quotes are there by their marks and names alone. */
  text: string;
  /** The body of a DO block, which runs at once, and the line that it begins on. */
  body?: { text: string; line: number };
}

/** One token of SQL: a comment, a literal, a body, a name in quotes, a word or a mark. Unclosed ones go to the end. */
const tokens =
  /(?<comment>--[^\n]*|\/\*)|(?<escaped>\be'(?:\\.|''|[^'\\])*(?:'|$))|(?<literal>'(?:''|[^'])*(?:'|$))|(?<name>"(?:""|[^"])*(?:"|$))|(?<tag>\$(?:[a-z_]\w*)?\$)|(?<word>[a-z_]\w*)|(?<other>[\s\S])/giy;

/** Where a block comment that begins at `from` ends: they nest. */
function endOfComment(sql: string, from: number): number {
  let depth = 0;
  for (let at = from; at < sql.length; at++) {
    const pair = sql.slice(at, at + 2);
    if (pair !== "/*" && pair !== "*/") continue;
    depth += pair === "/*" ? 1 : -1;
    at++;
    if (depth === 0) return at + 1;
  }
  return sql.length;
}

function statements(sql: string, firstLine = 1): Statement[] {
  const found: Statement[] = [];
  let line = firstLine;
  let current: Statement = { line, text: "" };
  const finish = () => {
    if (current.text.trim() !== "") found.push({ ...current, text: current.text.replace(/\s+/g, " ").trim() });
    current = { line, text: "" };
  };
  const scanner = new RegExp(tokens);
  for (let match = scanner.exec(sql); match?.groups; match = scanner.exec(sql)) {
    const { comment, escaped, literal, name, tag, word, other } = match.groups;
    let end = scanner.lastIndex;
    if (current.text.trim() === "" && comment === undefined) current.line = line;
    if (comment === "/*") end = endOfComment(sql, match.index);
    else if (tag !== undefined) {
      const close = sql.indexOf(tag, end);
      const text = sql.slice(end, close === -1 ? sql.length : close);
      if (/^\s*do\b/i.test(current.text)) current.body = { text, line };
      current.text += " $$ ";
      end = close === -1 ? sql.length : close + tag.length;
    } else if (escaped !== undefined || literal !== undefined) current.text += " '' ";
    else if (other === ";") finish();
    else current.text += comment === undefined ? (name ?? word ?? other ?? "") : " ";
    line += sql.slice(match.index, end).split("\n").length - 1;
    scanner.lastIndex = end;
  }
  finish();
  return found;
}

const name = String.raw`((?:"(?:""|[^"])*"|\w+)(?:\.(?:"(?:""|[^"])*"|\w+))*)`;
const last = (path: string) => path.split(".").at(-1)?.replaceAll('"', "").toLowerCase();
const optional = "(?:if exists )?";

const rules: [pattern: RegExp, reason: string][] = [
  [/^truncate\b/i, "empties a table"],
  [/^(?:with\b.*)?\bdelete from\b/i, "deletes rows"],
  [/^drop (?!index\b|trigger\b|cast\b|statistics\b)/i, "drops what the code of before may use"],
  [/^alter (?:\w+ )+?.*\brename\b/i, "renames what the code of before names"],
  [/^alter .*\bset schema\b/i, "moves what the code of before names"],
  [/^alter .*\bdrop attribute\b/i, "drops a part of a type"],
  [/^alter table .*\bdrop (?!constraint\b|not null\b|default\b|expression\b|identity\b)/i, "drops a column"],
  [/^alter table .*\balter (?:column )?\S+ (?:set data )?type\b/i, "changes a column's type"],
  [/^alter table .*\bset not null\b/i, "refuses rows that the code of before writes"],
  [/^alter table .*\bdrop (?:default|identity|expression)\b/i, "takes a value away that the code of before counts on"],
  [/^alter domain .*\b(?:set not null|drop default|drop constraint)\b/i, "changes what a domain takes"],
];

/** A new column that every INSERT must name. */
const requiredColumn = (text: string) =>
  /^alter table /i.test(text) &&
  [...text.matchAll(/\badd (?:column )?(?:if not exists )?(?!constraint\b)([^,(]|\([^)]*\))+/gi)].some(
    ([clause]) => /\bnot null\b/i.test(clause) && !/\b(?:default|generated)\b/i.test(clause),
  );

/**
 * What of a migration breaks the rule "expand, then contract" (docs/deploy.md), as far as its text can tell: comments,
 * literals and the bodies of functions do not count, those of DO blocks do. A constraint or trigger that is dropped and
 * made again under its name passes: whether the new one is narrower is for who reads it.
 */
export function destructive(sql: string, firstLine = 1): Destructive[] {
  const all = statements(sql, firstLine);
  const made = (pattern: string) =>
    new Set(
      all.flatMap(({ text }) => [...text.matchAll(new RegExp(pattern, "gi"))].map(([, path = ""]) => last(path))),
    );
  const constraints = made(String.raw`\badd constraint ${name}`);
  const triggers = made(`^create (?:or replace )?(?:constraint )?trigger ${name}`);

  const reasonOf = (text: string): string | undefined => {
    const rule = rules.find(([pattern]) => pattern.test(text));
    if (rule) return rule[1];
    if (requiredColumn(text)) return "adds a column that the code of before does not fill";
    const [, trigger] = new RegExp(`^drop trigger ${optional}${name}`, "i").exec(text) ?? [];
    if (trigger !== undefined && !triggers.has(last(trigger))) return "drops a trigger";
    const dropped = [...text.matchAll(new RegExp(String.raw`\bdrop constraint ${optional}${name}`, "gi"))];
    if (dropped.some(([, path = ""]) => !constraints.has(last(path)))) return "drops a constraint";
    return undefined;
  };

  return all.flatMap(({ line, text, body }) => {
    if (body) return destructive(body.text.replace(/\b(?:begin|then|else|loop)\b/gi, "$&;"), body.line);
    const reason = reasonOf(text);
    if (reason === undefined) return [];
    return [{ line, statement: text.length > 120 ? `${text.slice(0, 119)}…` : text, reason }];
  });
}
