/** Hosts that ask with a pod's service-account token instead of a join token. A pod may ask with one key only. */
import { sql, type Kysely } from "kysely";

const statements = [
  `alter table join_requests alter column token_name drop not null`,
  `alter table join_requests add column pod jsonb`,
  `alter table join_requests add constraint join_requests_proof check ((token_name is null) <> (pod is null))`,
  `create unique index join_requests_pod_uid on join_requests ((pod ->> 'uid'))`,
];

export async function up(db: Kysely<unknown>): Promise<void> {
  for (const statement of statements) await sql.raw(statement).execute(db);
}
