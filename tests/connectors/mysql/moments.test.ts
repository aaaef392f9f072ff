import { test } from "node:test";
import { startMariadb } from "../../support/mariadb.ts";
import { startMysql } from "../../support/mysql.ts";
import { needs } from "../../support/needs.ts";
import { flavours } from "./flavours.ts";
import { assertMoments, record } from "./moments.ts";

for (const flavour of flavours) {
  needs(flavour.name).describe(`a chain of ${flavour.kind.title}`, () => {
    test("restores every recorded moment, written to all the time", async () => {
      const server = await (flavour.name === "mariadb" ? startMariadb : startMysql)();
      await assertMoments(flavour, server, await record(flavour, server, 10));
    });
  });
}
