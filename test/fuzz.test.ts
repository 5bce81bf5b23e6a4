import { itAnswersAsDocumented } from "./support/fuzz.ts";

itAnswersAsDocumented(600, 120_000);
