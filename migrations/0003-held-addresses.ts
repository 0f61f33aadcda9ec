/** An address of a member that has gone is kept until nobody can hold a snapshot that names it any more. */
import { sql, type Kysely } from "kysely";

const statements = [
  `alter table addresses add column held_epoch bigint`,
  `alter table addresses add column held_until bigint`,
  `alter table addresses add constraint addresses_held check ((held_epoch is null) = (held_until is null))`,
];

export async function up(db: Kysely<unknown>): Promise<void> {
  for (const statement of statements) await sql.raw(statement).execute(db);
}
