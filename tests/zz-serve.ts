import { startMongo } from "./support/mongo.ts";
import { mongoKinds } from "./support/mongoKinds.ts";
const f = await startMongo({ kind: mongoKinds[2]!, auth: true });
const s = await startMongo({ kind: mongoKinds[3]!, auth: true });
console.log(f.url());
console.log(s.url());
console.log(f.pids().join(" "), s.pids().join(" "));
setTimeout(() => process.exit(0), 1500_000);
