import { itAnswersAsDocumented } from "./support/fuzz.ts";

itAnswersAsDocumented(600, 30_000);
