import { vi } from "vitest";

/** The lines that are logged from now on, until `vi.restoreAllMocks()`; each must be JSON. */
export function logged(): Record<string, unknown>[] {
  const lines: Record<string, unknown>[] = [];
  for (const method of ["debug", "log", "warn", "error"] as const) {
    vi.spyOn(console, method).mockImplementation((line) => void lines.push(JSON.parse(String(line))));
  }
  return lines;
}
