import process from "node:process";

// The same as in every run of the tests, at 100 moments.
process.env["DBBACKUP_SOAK"] = "1";
await import("../connectors/postgres/moments.test.ts");
