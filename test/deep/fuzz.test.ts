import { itAnswersAsDocumented } from "../support/fuzz.ts";

itAnswersAsDocumented(20_000);
