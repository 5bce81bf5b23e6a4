export const logLevels = ["debug", "info", "warn", "error"] as const;
export type LogLevel = (typeof logLevels)[number];

/**
 * Writes one line of JSON, if LOG_LEVEL lets `level` through. `event` says what the line is of, `fields` the rest: never a
 * body, a token, a password, a hash, an e-mail address or a query string.
 */
export function log(
  { LOG_LEVEL }: Pick<Env, "LOG_LEVEL">,
  level: LogLevel,
  event: string,
  fields: Record<string, unknown>,
): void {
  // A level that there is not hides nothing: the settings refuse it, and that must be heard.
  if (logLevels.indexOf(level) < (logLevels as readonly string[]).indexOf(LOG_LEVEL)) return;
  console[level === "info" ? "log" : level](JSON.stringify({ level, event, ...fields }));
}

/** What failed, for the log. */
export function describe(cause: unknown): Record<string, unknown> {
  if (!(cause instanceof Error)) return { message: scrub(String(cause)) };
  const { code, constraint } = cause as { code?: unknown; constraint?: unknown };
  const message = scrub(cause.message);
  const stack = cause.stack?.replace(cause.message, () => message);
  const errors = cause instanceof AggregateError ? cause.errors.map(describe) : undefined;
  return { name: cause.name, message, code, constraint, stack, errors };
}

/**
 * An error's message without what it may quote: the value that Postgres names (`invalid input syntax for type date: "…"`), and
 * a URL, whose password or query it may have.
 */
export const scrub = (message: string): string =>
  message.replace(/: ".*"/s, ': "…"').replace(/\b[a-z][a-z\d+.-]*:\/\/[^\s"'<>]+/gi, "<url>");

/** Milliseconds to a tenth. */
export const tenths = (milliseconds: number): number => Math.round(milliseconds * 10) / 10;
