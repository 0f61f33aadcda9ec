/** The first schema of the ledger. Times are unix seconds. See docs/ledger.md for what each table is for. */
import { sql, type Kysely } from "kysely";

const statements = [
  // One row each: which ledger this is, and who rules by it.
  `create table ledger (
    singleton boolean primary key default true check (singleton),
    id uuid not null,
    trust_domain text not null,
    created_at bigint not null)`,
  `create table authority (
    singleton boolean primary key default true check (singleton),
    term bigint not null check (term >= 0),
    epoch bigint not null check (epoch >= 0),
    holder text)`,

  `create table tokens (
    name text primary key,
    hash text not null,
    expires_at bigint not null,
    max_uses integer not null check (max_uses > 0),
    uses integer not null default 0 check (uses >= 0),
    revoked boolean not null,
    removed boolean not null default false,
    allowed_roles text[] not null,
    area text)`,

  `create table join_requests (
    request_id text primary key,
    node_name text not null,
    fingerprint text not null unique,
    csr_pem text not null,
    token_name text not null references tokens (name),
    requested_roles text[] not null,
    area text,
    facts jsonb not null,
    capabilities jsonb not null,
    candidates text[] not null,
    created_at bigint not null,
    decision text not null default 'Pending' check (decision in ('Pending', 'Approved', 'Denied')),
    decided_by text,
    decided_at bigint,
    reason text,
    node_id uuid,
    check ((decision = 'Pending') = (decided_at is null)),
    check ((decision = 'Approved') = (node_id is not null)))`,

  `create table identities (
    node_id uuid primary key,
    node_name text not null,
    request_id text not null unique references join_requests (request_id),
    fingerprint text not null unique,
    ipv4 text not null,
    ipv6 text not null,
    area text,
    status text not null default 'Active' check (status in ('Active', 'Revoked', 'Removed')),
    reason text,
    created_at bigint not null,
    certificate_not_after bigint)`,
  // A name belongs to one member at a time; a removed one gives it back.
  `create unique index identities_node_name on identities (node_name) where status <> 'Removed'`,

  // The n-th address of both pools is one allocation.
  `create table addresses (
    ordinal integer primary key check (ordinal > 0),
    node_id uuid not null unique references identities (node_id))`,

  `create table certificates (
    serial text primary key,
    node_id uuid not null references identities (node_id),
    chain_pem text[] not null,
    issued_at bigint not null,
    not_after bigint not null)`,
  `create index certificates_node on certificates (node_id, not_after)`,

  `create table nonces (
    fingerprint text not null,
    nonce text not null,
    expires_at bigint not null,
    primary key (fingerprint, nonce))`,
  `create index nonces_expiry on nonces (expires_at)`,

  `create table audit (
    id bigint generated always as identity primary key,
    at bigint not null,
    term bigint not null,
    actor text not null,
    action text not null,
    subject text not null,
    detail jsonb not null)`,
];

export async function up(db: Kysely<unknown>): Promise<void> {
  for (const statement of statements) await sql.raw(statement).execute(db);
}
