import { itAnswersAsDocumented } from "./support/fuzz.ts";

itAnswersAsDocumented(400);
