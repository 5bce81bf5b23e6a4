import { afterChecks } from "./afterwards.ts";
import type { Check } from "./check.ts";
import { endpointChecks } from "./endpoints.ts";
import { functionChecks } from "./functions.ts";
import { integrityChecks } from "./integrity.ts";
import { securityChecks } from "./security.ts";

/** Every check, in the order in which they are made: docs/hosting-checklist.md says which line each answers. */
export const checks: readonly Check[] = [
  ...endpointChecks,
  ...functionChecks,
  ...integrityChecks,
  ...securityChecks,
  ...afterChecks,
];
