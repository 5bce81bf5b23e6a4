/** There is too much to do at once, which strangers alone can cause; the message says of what. Later it may be done. */
export class Busy extends Error {}
