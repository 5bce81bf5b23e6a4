declare namespace Cloudflare {
  interface Env {
    /** Only in tests: answers the URLs of a fresh database. */
    TEST_CONTROL_URL: string;
  }
}
