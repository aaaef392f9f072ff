import { setTimeout as sleep } from "node:timers/promises";
import type { Db, MongoClient } from "mongodb";

/** Somebody who keeps changing a database. */
export interface Writer {
  /** How many rounds are over. */
  rounds(): number;
  /** Waits until so many more rounds are over. */
  more(count: number): Promise<void>;
  /** Ends after the round under way. @throws what went wrong in a round */
  stop(): Promise<void>;
}

/** Starts to write; each round leaves the invariants of {@link readInvariants} standing. */
export async function startWriter(client: MongoClient, db: Db): Promise<Writer> {
  await db.collection<{ _id: string; amount: number }>("accounts").insertMany([
    { _id: "one", amount: 1000 },
    { _id: "two", amount: 1000 },
  ]);
  for (const name of ["first", "second"]) await db.createCollection(name);
  let round = 0;
  let isStopped = false;
  const running = (async () => {
    while (!isStopped) {
      await writeRound(client, db, round);
      round++;
    }
  })();
  running.catch(() => {});
  const more = async (count: number) => {
    const until = round + count;
    while (round < until) await Promise.race([running, sleep(5)]);
  };
  await more(12);
  return {
    rounds: () => round,
    more,
    async stop() {
      isStopped = true;
      await running;
    },
  };
}

async function writeRound(client: MongoClient, db: Db, n: number): Promise<void> {
  const log = (name: string) => db.collection<{ _id: number }>(name);
  await log("first").insertOne({ _id: n });
  await log("second").insertOne({ _id: n });
  await client.withSession((session) =>
    session.withTransaction(async () => {
      const accounts = db.collection<{ _id: string; amount: number }>("accounts");
      await accounts.updateOne({ _id: "one" }, { $inc: { amount: -1 } }, { session });
      await accounts.updateOne({ _id: "two" }, { $inc: { amount: 1 } }, { session });
    })
  );
  // Every round has its own collection with an index, and every tenth a view; old ones go.
  await db.collection(`round ${n}`).createIndex({ at: 1 }, { name: "at.index" });
  await log(`round ${n}`).insertOne({ _id: n });
  if (n >= 5) await db.dropCollection(`round ${n - 5}`);
  if (n % 10 === 0) {
    await db.createCollection(`view ${n}`, { viewOn: "first", pipeline: [] });
    if (n > 0) await db.dropCollection(`view ${n - 10}`);
  }
}

/** What is true of a database at any single moment while a writer works, as short facts. */
export async function readInvariants(db: Db) {
  const ids = async (name: string) => {
    const found = await db.collection<{ _id: number }>(name).find().sort({ _id: 1 }).toArray();
    return found.map(({ _id }) => _id);
  };
  const [first, second] = [await ids("first"), await ids("second")];
  const accounts = await db.collection("accounts").find().toArray();
  const ahead = first.length - second.length;
  return {
    sum: accounts.reduce((sum, { amount }) => sum + amount, 0),
    hasGaps: [first, second].some((list) => list.some((id, index) => id !== index)),
    isOneMoment: ahead === 0 || ahead === 1,
    rounds: second.length,
  };
}
