// A request that is the client's fault.

export class Refused extends Error {}
