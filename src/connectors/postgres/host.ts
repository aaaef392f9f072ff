/** One server to try; several stand for one cluster. */
export interface Host {
  /** A name or address, or the folder of a Unix socket. */
  readonly host: string;
  readonly port: number;
}
