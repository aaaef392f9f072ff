import { mkdirSync } from "node:fs";
import path from "node:path";
import {
  CreateBucketCommand,
  ListMultipartUploadsCommand,
  ListObjectVersionsCommand,
  PutBucketVersioningCommand,
  S3Client,
} from "@aws-sdk/client-s3";
import type { S3Options } from "../../src/storage/s3/mod.ts";
import { onFreePort, startDaemon } from "./daemon.ts";
import { freshName } from "./freshName.ts";
import { installed } from "./installed.ts";
import { shared } from "./shared.ts";
import { tempDir } from "./workspace.ts";

/** What a bucket can do. */
export type BucketKind = "plain" | "versioned" | "locked";

/** An S3 gateway: versitygw over a folder. */
export interface S3Server {
  readonly endpoint: string;
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  /** The variables by which the SDK finds the keys. */
  readonly env: Readonly<Record<string, string>>;
  /** A client of the SDK, for what tests look at behind our back. */
  readonly client: S3Client;
  /** Where its buckets lie: a folder each, with a file an object. */
  readonly dataFolder: string;
  /** Makes an empty bucket. */
  bucket(kind?: BucketKind): Promise<string>;
  /** The options of a destination in a bucket. */
  options(bucket: string): S3Options;
  /** The keys of a bucket's unfinished multipart uploads. */
  uploads(bucket: string): Promise<string[]>;
  /** All versions in a bucket, those that are hidden and the markers among them. */
  versions(bucket: string): Promise<{ key: string; isMarker: boolean }[]>;
}

/**
 * The shared gateway; made on first use, ended with the tests.
 *
 * @throws {Error} when versitygw was not found.
 */
export function s3Server(): Promise<S3Server> {
  return shared("s3 server", startS3);
}

const accessKeyId = "dbbackup-test";
const secretAccessKey = "s3cret/with+signs=";

async function startS3(): Promise<S3Server> {
  const command = installed().versitygw;
  if (command === undefined) throw new Error("versitygw is missing: see scripts/servers");
  const folder = tempDir("s3");
  for (const name of ["data", "versions"]) mkdirSync(path.join(folder, name));
  const port = await onFreePort(async (port) => {
    await startDaemon({
      command,
      args: [
        ...[
          "--port",
          `127.0.0.1:${port}`,
          "--keep-alive",
          "--access-log",
          path.join(folder, "access.log"),
          "posix",
        ],
        ...["--versioning-dir", path.join(folder, "versions"), path.join(folder, "data")],
      ],
      env: {
        ...globalThis.process.env,
        ROOT_ACCESS_KEY_ID: accessKeyId,
        ROOT_SECRET_ACCESS_KEY: secretAccessKey,
      },
      logFile: path.join(folder, "server.log"),
      ready: /service listening on/,
    });
    return port;
  });
  const endpoint = `http://127.0.0.1:${port}`;
  const client = new S3Client({
    endpoint,
    region: "us-east-1",
    forcePathStyle: true,
    credentials: { accessKeyId, secretAccessKey },
  });
  return {
    endpoint,
    accessKeyId,
    secretAccessKey,
    env: { AWS_ACCESS_KEY_ID: accessKeyId, AWS_SECRET_ACCESS_KEY: secretAccessKey },
    client,
    dataFolder: path.join(folder, "data"),
    async bucket(kind = "plain") {
      const Bucket = freshName().toLowerCase().replaceAll("_", "-");
      await client.send(
        new CreateBucketCommand({ Bucket, ObjectLockEnabledForBucket: kind === "locked" }),
      );
      if (kind === "versioned") {
        const VersioningConfiguration = { Status: "Enabled" } as const;
        await client.send(new PutBucketVersioningCommand({ Bucket, VersioningConfiguration }));
      }
      return Bucket;
    },
    options: (bucket) => ({ bucket, endpoint, accessKeyId, secretAccessKey }),
    async uploads(Bucket) {
      const { Uploads = [] } = await client.send(new ListMultipartUploadsCommand({ Bucket }));
      return Uploads.map(({ Key }) => Key ?? "");
    },
    async versions(Bucket) {
      const answer = await client.send(new ListObjectVersionsCommand({ Bucket }));
      return [
        ...(answer.Versions ?? []).map(({ Key }) => ({ key: Key ?? "", isMarker: false })),
        ...(answer.DeleteMarkers ?? []).map(({ Key }) => ({ key: Key ?? "", isMarker: true })),
      ];
    },
  };
}
