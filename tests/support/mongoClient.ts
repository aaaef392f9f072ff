import type { MongoClient } from "mongodb";

/** Runs with a connected client, and closes it. */
export async function withMongoClient(
  url: string,
  use: (client: MongoClient) => Promise<unknown>,
): Promise<void> {
  // Loaded here, so that tests of other databases do not pay for it.
  const { MongoClient } = await import("mongodb");
  const client = await MongoClient.connect(url);
  try {
    await use(client);
  } finally {
    await client.close();
  }
}
