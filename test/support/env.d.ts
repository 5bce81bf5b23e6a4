declare namespace Cloudflare {
  interface Env {
    /** Only in tests: answers the URLs of a fresh database. */
    TEST_CONTROL_URL: string;
    /** Only in tests: repeats a run of the fuzz, and says how long it is; empty unless given. */
    FUZZ_SEED: string;
    FUZZ_RUNS: string;
  }
}

/** A file's text, as Vite imports it. */
declare module "*?raw" {
  const text: string;
  export default text;
}
