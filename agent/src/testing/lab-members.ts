/**
 * Members of a fabric in a lab, with what an operator would have left on their disks, real agents and real engines, and no
 * operator anywhere.
 */
import { randomUUID } from "node:crypto";
import { chownSync, mkdirSync, readdirSync } from "node:fs";
import { request } from "node:http";
import path from "node:path";
import { createCsr, type NodeSnapshotBody, type SnapshotPeer } from "@saf/protocol";
import type { Lab } from "../../../hack/lab/lab.ts";
import { addAgent, addEngine, agentUser, programPaths } from "../../../hack/lab/programs.ts";
import { trustedDocuments } from "../documents/trusted-documents.ts";
import { identityRecords } from "../identity/membership.ts";
import { openNodeKey } from "../identity/node-key.ts";
import type { PeersView, StatusView } from "../local-api/views.ts";

export interface LabMember {
  /** A host of the lab. */
  readonly name: string;
  /** Inside the tunnel. */
  readonly addresses: SnapshotPeer["addresses"];
  /** `ip:port`, best first. */
  readonly endpoints: readonly string[];
}

export interface LabMembers {
  readonly ids: ReadonlyMap<string, string>;
  /** Puts a certificate and a snapshot with this lifetime on the member's disk, instead of what is there. */
  prepare(name: string, lifetimeSeconds: number): Promise<void>;
  status(name: string): Promise<StatusView | null>;
  peers(name: string): Promise<PeersView>;
}

const LIFETIME_SECONDS = 3600;

/** Prepares every member and starts its agent and engine. */
export async function startLabMembers(lab: Lab, members: readonly LabMember[]): Promise<LabMembers> {
  // Only now: it needs what @saf/protocol makes ready.
  const { createTestAuthority } = await import("./test-authority.ts");
  const authority = await createTestAuthority("lab.example");
  const ids = new Map(members.map(({ name }) => [name, randomUUID() as string]));
  const fingerprints = new Map<string, string>();
  const stateOf = (name: string): string => programPaths(lab.host(name), "agent").stateDir;
  const indexOf = (name: string): number => members.findIndex((member) => member.name === name);

  async function makeKey(name: string): Promise<void> {
    const folder = path.join(stateOf(name), "identity");
    mkdirSync(folder, { recursive: true });
    fingerprints.set(name, (await openNodeKey({ folder, onRecovered: unexpected })).fingerprint);
  }

  async function prepare(name: string, lifetimeSeconds: number): Promise<void> {
    const nodeId = ids.get(name) ?? "";
    const folder = path.join(stateOf(name), "identity");
    const { pem, fingerprint } = await openNodeKey({ folder, onRecovered: unexpected });
    const certificate = await authority.issueForCsr(await createCsr(pem, name), nodeId);
    const subject = { trustDomain: authority.trustDomain, nodeId };
    const membership = {
      ...subject,
      fingerprint,
      certificateChain: [certificate],
      control: authority.control,
    };
    await identityRecords(folder, unexpected).membership.save({ ...membership, revoked: null });
    await keepSnapshot(name, subject, lifetimeSeconds);
    giveTo(agentUser(indexOf(name)), stateOf(name));
  }

  async function keepSnapshot(
    name: string,
    subject: { trustDomain: string; nodeId: string },
    lifetimeSeconds: number,
  ): Promise<void> {
    const folder = path.join(stateOf(name), "documents");
    mkdirSync(folder, { recursive: true });
    const documents = trustedDocuments({ folder, onRecovered: unexpected, onUnusable: unexpected });
    const now = Math.floor(Date.now() / 1000);
    const body: Partial<NodeSnapshotBody> = {
      nodeName: name,
      addresses: members[indexOf(name)]!.addresses,
      peers: members.filter((member) => member.name !== name).map(peerOf),
    };
    await documents.begin(await authority.trustRoot(), subject, now);
    const snapshot = await authority.snapshot(subject.nodeId, { expiresAt: now + lifetimeSeconds, body });
    await documents.accept(snapshot, now);
    await documents.flush();
  }

  function peerOf({ name, addresses, endpoints }: LabMember): SnapshotPeer {
    const candidates = endpoints.map((endpoint) => ({ endpoint, kind: "host" as const }));
    const fingerprint = fingerprints.get(name) ?? "";
    return { nodeId: ids.get(name) ?? "", nodeName: name, fingerprint, addresses, candidates };
  }

  function get<T>(name: string, target: string): Promise<T> {
    const { apiSocket: socketPath } = programPaths(lab.host(name), "agent");
    return new Promise((resolve, reject) => {
      const outgoing = request({ socketPath, path: target }, (response) => {
        let text = "";
        response.setEncoding("utf8").on("data", (chunk: string) => (text += chunk));
        response.on("end", () => resolve(JSON.parse(text) as T));
      });
      outgoing.on("error", reject).end();
    });
  }

  for (const { name } of members) await makeKey(name);
  for (const [index, { name }] of members.entries()) {
    await prepare(name, LIFETIME_SECONDS);
    addEngine(lab, name, { serves: "agent", user: agentUser(index) });
    addAgent(lab, name, { user: agentUser(index) });
  }
  return {
    ids,
    prepare,
    status: (name) => get<StatusView>(name, "/v1/status").catch(() => null),
    peers: (name) => get<PeersView>(name, "/v1/peers"),
  };
}

function unexpected(what: unknown): never {
  throw new Error(`unexpected: ${String(what)}`);
}

function giveTo({ uid, gid }: { readonly uid: number; readonly gid: number }, folder: string): void {
  chownSync(folder, uid, gid);
  for (const entry of readdirSync(folder, { recursive: true }))
    chownSync(path.join(folder, String(entry)), uid, gid);
}
