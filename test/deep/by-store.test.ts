import { itFollowsTheRule } from "../support/bundling.ts";

itFollowsTheRule(1500);
