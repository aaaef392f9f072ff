import path from "node:path";
import { output } from "./run.ts";
import { shared } from "./shared.ts";
import { tempDir } from "./workspace.ts";

/** Files in PEM for a server that calls itself `localhost` and `127.0.0.1`. */
export interface Certificates {
  /** The authority that clients have to trust. */
  readonly caFile: string;
  readonly certFile: string;
  readonly keyFile: string;
  /** Another authority, which has signed nothing here. */
  readonly otherCaFile: string;
  /** The name in the certificate. */
  readonly hostname: "localhost";
}

/** The certificates that all test servers share; made once per process. */
export function certificates(): Promise<Certificates> {
  return shared("certificates", async () => {
    const folder = tempDir("certificates");
    const file = (name: string) => path.join(folder, name);
    const authority = [
      "-addext",
      "basicConstraints=critical,CA:TRUE",
      "-addext",
      "keyUsage=critical,keyCertSign",
    ];
    await make(file("ca.pem"), file("ca.key"), "dbbackup test CA", authority);
    await make(file("other-ca.pem"), file("other-ca.key"), "another CA", authority);
    await make(file("server.pem"), file("server.key"), "localhost", [
      ...["-CA", file("ca.pem"), "-CAkey", file("ca.key")],
      ...["-addext", "basicConstraints=critical,CA:FALSE"],
      ...["-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"],
    ]);
    return {
      caFile: file("ca.pem"),
      certFile: file("server.pem"),
      keyFile: file("server.key"),
      otherCaFile: file("other-ca.pem"),
      hostname: "localhost",
    };
  });
}

async function make(cert: string, key: string, name: string, extra: readonly string[]) {
  await output("openssl", [
    ...["req", "-x509", "-nodes", "-days", "30", "-subj", `/CN=${name}`],
    ...["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"],
    ...["-out", cert, "-keyout", key],
    ...extra,
  ]);
}
