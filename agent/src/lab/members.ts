/**
 * Members of a fabric in a lab that start from what an operator would have left on their disks, with real engines and without any
 * operator. The first node of the topology is the first member.
 */
import { randomUUID } from "node:crypto";
import { chownSync, mkdirSync, readdirSync } from "node:fs";
import { request } from "node:http";
import path from "node:path";
import { createCsr, type NodeSnapshotBody, type SnapshotPeer } from "@saf/protocol";
import { createLab, type Lab } from "../../../hack/lab/lab.ts";
import {
  addAgent,
  addEngine,
  agentUser,
  FABRIC_PORT,
  programPaths,
  type Settings,
} from "../../../hack/lab/programs.ts";
import type { Topology } from "../../../hack/lab/topology.ts";
import { trustedDocuments } from "../documents/trusted-documents.ts";
import { identityRecords } from "../identity/membership.ts";
import { openNodeKey } from "../identity/node-key.ts";
import type { StatusView } from "../local-api/views.ts";
import { createTestAuthority, type TestAuthority } from "../testing/test-authority.ts";

/** Longer than any test. */
const LIFETIME_SECONDS = 3600;

export interface Members {
  readonly lab: Lab;
  idOf(name: string): string;
  addressesOf(name: string): SnapshotPeer["addresses"];
  /** Puts another snapshot on the disk of an agent that is not running. */
  leaveSnapshot(name: string, lifetimeSeconds: number): Promise<void>;
  /** Starts engine and agent. */
  boot(name: string, settings?: Settings): void;
  get<T>(name: string, target: string): Promise<T>;
  /** Null while the agent does not answer. */
  status(name: string): Promise<StatusView | null>;
}

export interface MembersOptions {
  /** `ip:port` of a member, best first; default: its address on its network. */
  readonly endpointsOf?: (name: string) => readonly string[];
}

export async function createMembers(
  topology: Topology,
  names: readonly string[],
  options: MembersOptions = {},
): Promise<Members> {
  const lab = await createLab(topology);
  const authority = await createTestAuthority("lab.example");
  const ids = new Map(names.map((name) => [name, randomUUID()]));
  const fingerprints = new Map<string, string>();
  const idOf = (name: string): string => ids.get(name) ?? "";
  const indexOf = (name: string): number => names.indexOf(name);
  const addressesOf = (name: string): SnapshotPeer["addresses"] => {
    const number = indexOf(name) + 1;
    return { ipv4: `100.96.0.${number}`, ipv6: `fd5a::${number}` };
  };
  const endpointsOf = options.endpointsOf ?? ((name: string) => [`${lab.host(name).address}:${FABRIC_PORT}`]);
  const stateOf = (name: string): string => programPaths(lab.host(name), "agent").stateDir;

  const peerOf = (name: string): SnapshotPeer => ({
    nodeId: idOf(name),
    nodeName: name,
    fingerprint: fingerprints.get(name) ?? "",
    addresses: addressesOf(name),
    candidates: endpointsOf(name).map((endpoint) => ({ endpoint, kind: "host" })),
  });

  const leaveSnapshot = async (name: string, lifetimeSeconds: number): Promise<void> => {
    const body = {
      nodeName: name,
      addresses: addressesOf(name),
      peers: names.filter((other) => other !== name).map(peerOf),
    };
    await keepMember(stateOf(name), { name, nodeId: idOf(name), authority, lifetimeSeconds, body });
    give(stateOf(name), agentUser(indexOf(name)));
  };

  const get = <T>(name: string, target: string): Promise<T> => {
    const { apiSocket: socketPath } = programPaths(lab.host(name), "agent");
    return new Promise((resolve, reject) => {
      const outgoing = request({ socketPath, path: target }, (response) => {
        let text = "";
        response.setEncoding("utf8").on("data", (chunk: string) => (text += chunk));
        response.on("end", () => resolve(JSON.parse(text) as T));
      });
      outgoing.on("error", reject).end();
    });
  };

  for (const name of names) fingerprints.set(name, await makeKey(stateOf(name)));
  for (const name of names) await leaveSnapshot(name, LIFETIME_SECONDS);
  return {
    lab,
    idOf,
    addressesOf,
    leaveSnapshot,
    boot: (name, settings = {}) => {
      const user = agentUser(indexOf(name));
      addEngine(lab, name, { serves: "agent", user });
      addAgent(lab, name, { user, settings });
    },
    get,
    status: (name) => get<StatusView>(name, "/v1/status").catch(() => null),
  };
}

const unexpected = (what: unknown): never => {
  throw new Error(`unexpected: ${String(what)}`);
};

async function makeKey(stateDir: string): Promise<string> {
  const folder = path.join(stateDir, "identity");
  mkdirSync(folder, { recursive: true });
  return (await openNodeKey({ folder, onRecovered: unexpected })).fingerprint;
}

interface LeftBehind {
  readonly name: string;
  readonly nodeId: string;
  readonly authority: TestAuthority;
  readonly lifetimeSeconds: number;
  readonly body: Partial<NodeSnapshotBody>;
}

async function keepMember(stateDir: string, left: LeftBehind): Promise<void> {
  const { name, nodeId, authority, lifetimeSeconds, body } = left;
  const [identity, kept] = ["identity", "documents"].map((folder) => path.join(stateDir, folder)) as [
    string,
    string,
  ];
  const { pem, fingerprint } = await openNodeKey({ folder: identity, onRecovered: unexpected });
  const certificate = await authority.issueForCsr(await createCsr(pem, name), nodeId);
  const subject = { trustDomain: authority.trustDomain, nodeId };
  const membership = { ...subject, fingerprint, certificateChain: [certificate], control: authority.control };
  await identityRecords(identity, unexpected).membership.save({ ...membership, revoked: null });
  mkdirSync(kept, { recursive: true });
  const documents = trustedDocuments({ folder: kept, onRecovered: unexpected, onUnusable: unexpected });
  const now = Math.floor(Date.now() / 1000);
  await documents.begin(await authority.trustRoot(), subject, now);
  await documents.accept(await authority.snapshot(nodeId, { expiresAt: now + lifetimeSeconds, body }), now);
  await documents.flush();
}

function give(folder: string, { uid, gid }: { readonly uid: number; readonly gid: number }): void {
  chownSync(folder, uid, gid);
  for (const entry of readdirSync(folder, { recursive: true }))
    chownSync(path.join(folder, String(entry)), uid, gid);
}
