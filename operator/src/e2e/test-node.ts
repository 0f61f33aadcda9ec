/** A member as far as the operator can see: enrolled over HTTPS, in session through a real engine, heartbeats by hand. */
import { chmodSync, chownSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { connectEngine, type EngineClient, type Event } from "@saf/engine";
import {
  createCsr,
  decodeEnvelope,
  encodeEnvelope,
  fromOperator,
  nodeSnapshotBody,
  operatorSpiffeId,
  signingKeysOf,
  spiffeIdOfNode,
  verifyDocument,
  verifyTrustRoot,
  type AgentEnvelope,
  type DocumentPayload,
  type Heartbeat,
  type NodeSnapshotBody,
  type OperatorEnvelope,
  type TrustRootBody,
} from "@saf/protocol";
import { createJoiner, type Joiner } from "./joiner.ts";
import { eventually, freeUdpPort, TRUST_DOMAIN, type Engine, type Stage } from "./stage.ts";

export type Snapshot = DocumentPayload<NodeSnapshotBody>;

export interface TestNode {
  readonly name: string;
  readonly nodeId: string;
  readonly port: number;
  readonly joiner: Joiner;
  readonly chain: readonly string[];
  /** Verified snapshots in the order in which they came. */
  readonly snapshots: readonly Snapshot[];
  readonly answers: readonly OperatorEnvelope[];
  /** Codes with which sessions ended. */
  readonly closings: readonly string[];
  send(envelope: AgentEnvelope): Promise<void>;
  /** One heartbeat that confirms the newest snapshot. */
  beat(changes?: Partial<Heartbeat>): Promise<void>;
  connected(): Promise<boolean>;
  newest(): Snapshot | undefined;
  /** Confirms by heartbeats until `ready` holds for a snapshot, which it returns. */
  until(what: string, ready: (snapshot: Snapshot) => boolean, timeoutMs?: number): Promise<Snapshot>;
  stop(): Promise<void>;
}

export async function enrolNode(stage: Stage, token: string, name: string): Promise<TestNode> {
  const joiner = createJoiner(stage.ports.enrolment, name);
  await joiner.ask(token);
  await eventually(`the request of ${name} is shown`, () => stage.get("jr", joiner.requestId));
  const approvals = [{ user: "admin", decision: "Approve" }];
  await stage.kubectl(
    "patch",
    "jr",
    joiner.requestId,
    "--type=merge",
    "-p",
    JSON.stringify({ spec: { approvals } }),
  );
  const admitted = await joiner.poll(20);
  if (admitted.state !== "approved") throw new Error(`${name} was not admitted: ${admitted.state}`);

  const port = await freeUdpPort();
  const keyFile = join(stage.dir, `${name}.key`);
  writeFileSync(keyFile, joiner.keyPem, { mode: 0o640 });
  chownSync(keyFile, 0, 65534);
  chmodSync(keyFile, 0o640);
  const engine = await stage.startEngine(name, { port, keyFile });
  const client = await eventually(`the engine of ${name}`, () =>
    connectEngine(engine.socket).catch(() => undefined),
  );
  const root = await verifyTrustRoot(admitted.trustRoot, { cluster: TRUST_DOMAIN, now: nowSeconds() });
  const node = nodeOver({
    engine,
    client,
    joiner,
    port,
    admitted: { nodeId: admitted.nodeId, chain: admitted.certificateChain },
    root: root.body,
  });
  await client.apply({
    revision: 1,
    trustDomain: TRUST_DOMAIN,
    expiresAtMs: Date.now() + 3_600_000,
    authority: { term: 0, epoch: 0 },
    identity: {
      spiffeId: spiffeIdOfNode(TRUST_DOMAIN, admitted.nodeId),
      certificateChainPem: [...admitted.certificateChain],
      caCertificatesPem: [...root.body.caCertificates],
    },
    tunnel: null,
    peers: [
      {
        id: "operator",
        spiffeId: operatorSpiffeId(TRUST_DOMAIN),
        fingerprint: admitted.control.fingerprint,
        candidates: [...admitted.control.endpoints],
        remotePrefixes: [],
        localPrefixes: [],
        expiresAtMs: Date.now() + 3_600_000,
      },
    ],
    revoked: [],
    trafficRules: [],
  });
  return node;
}

interface Parts {
  readonly engine: Engine;
  readonly client: EngineClient;
  readonly joiner: Joiner;
  readonly port: number;
  readonly admitted: { readonly nodeId: string; readonly chain: readonly string[] };
  readonly root: TrustRootBody;
}

function nodeOver({ engine, client, joiner, port, admitted, root }: Parts): TestNode {
  const { nodeId, chain } = admitted;
  const snapshots: Snapshot[] = [];
  const answers: OperatorEnvelope[] = [];
  const closings: string[] = [];
  let sequence = 0;

  const accept = async (event: Event): Promise<void> => {
    if (event.type === "sessionClosed") closings.push(event.code);
    if (event.type !== "message") return;
    const envelope = decodeEnvelope(fromOperator, event.kind, event.payload);
    answers.push(envelope);
    if (envelope.kind === "document") snapshots.push(await verify(envelope.body.jws));
  };

  const verify = (jws: string): Promise<Snapshot> =>
    verifyDocument(jws, {
      type: "saf-node-snapshot",
      cluster: TRUST_DOMAIN,
      scope: nodeId,
      body: nodeSnapshotBody,
      keys: signingKeysOf(root),
      now: nowSeconds(),
      seen: snapshots.at(-1),
    });

  client.onEvent((event) => void accept(event));

  const send = async (envelope: AgentEnvelope): Promise<void> => {
    const { kind, payload } = encodeEnvelope(envelope);
    await client.send("operator", kind, payload);
  };

  const beat = async (changes: Partial<Heartbeat> = {}): Promise<void> => {
    const newest = snapshots.at(-1);
    const applied = newest
      ? { term: newest.term, epoch: newest.epoch, issuedAt: newest.issuedAt, expiresAt: newest.expiresAt }
      : null;
    const known = newest?.body.peers.length ?? 0;
    sequence += 1;
    const facts = {
      hostname: joiner.nodeName,
      os: "linux",
      arch: "x64",
      kernel: "6.1",
      cpus: 2,
      memoryBytes: 1e9,
      agentVersion: "0.1.0",
    };
    const body: Heartbeat = {
      sequence,
      facts,
      capabilities: { protocolVersions: ["saf/1"] },
      // Loopback addresses are offered to nobody.
      candidates: [`127.0.0.1:${port}`, `198.51.100.7:${port}`, "192.168.7.7:7443"],
      applied,
      peers: { known, direct: known },
      degraded: false,
      certificateNotAfter: nowSeconds() + 86_400,
      ...changes,
    };
    await send({ kind: "heartbeat", body });
  };

  const connected = async (): Promise<boolean> => {
    const { peers } = await client.describe();
    return peers.some(({ id, session }) => id === "operator" && session === "ready");
  };

  return {
    name: joiner.nodeName,
    nodeId,
    port,
    joiner,
    chain,
    snapshots,
    answers,
    closings,
    send,
    beat,
    connected,
    newest: () => snapshots.at(-1),
    async until(what, ready, timeoutMs) {
      const snapshot = await eventually(
        `${joiner.nodeName}: ${what}`,
        () => {
          const newest = snapshots.at(-1);
          return newest && ready(newest) && newest;
        },
        timeoutMs,
      );
      await beat();
      return snapshot;
    },
    async stop() {
      client.close();
      await engine.stop();
    },
  };
}

export async function csrOf(joiner: Joiner): Promise<string> {
  return createCsr(joiner.keyPem, joiner.nodeName);
}

function nowSeconds(): number {
  return Math.floor(Date.now() / 1000);
}
