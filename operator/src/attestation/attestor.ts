/** Proves pods by asking the API server (decide.ts says what must hold), and tells owners of those that it turned away. */
import type { Cluster, ServiceAccountPolicy } from "@saf/crds";
import { EnrolmentError } from "../api/errors.ts";
import { createRateLimiter, type BucketRate } from "../api/rate-limiter.ts";
import type { KubeClient } from "../kube/client.ts";
import type { Clock } from "../kube/clock.ts";
import { isKubeError, KubeError } from "../kube/errors.ts";
import type { EventRecorder } from "../kube/event-recorder.ts";
import { findObject } from "../kube/find.ts";
import { KUBERNETES_NODES, PODS, TOKEN_REVIEWS, type TokenReview } from "../kube/resource.ts";
import type { AttestedPod, Ledger } from "../ledger/ledger.ts";
import type { Log } from "../telemetry/log.ts";
import { attested, bearerOf, hostOf, isAutoApproved, livesOn, type Asked, type Bearer } from "./decide.ts";

/** Each costs the API server three calls. A cluster of 200 nodes starts within its burst; a flood of forged tokens gets no further. */
const REVIEWS: BucketRate = { burst: 200, perSecond: 20 };
/** An agent asks again for as long as it is refused; the audit has each refusal once. As many as Kubernetes allows pods on 40 nodes. */
const MAX_AUDITED = 4_096;

export interface AttestorInit {
  readonly client: Pick<KubeClient, "get" | "create">;
  readonly cluster: () => Cluster;
  readonly ledger: Pick<Ledger, "audit">;
  readonly term: number;
  readonly events: Pick<EventRecorder, "record">;
  readonly clock: Clock;
  readonly log: Log;
}

export interface Voucher extends AttestedPod {
  readonly allowedRoles: readonly string[];
}

export interface Attestor {
  /** Whether the Cluster lets any service account ask. Throws SERVICE_ACCOUNTS_OFF. */
  requireOn(): void;
  /** Throws EnrolmentError with the code of the first thing that does not hold; ATTESTATION_UNAVAILABLE when nobody can say. */
  vouch(token: string, asked: Asked): Promise<Voucher>;
  /** The ledger refused a pod that was vouched for. */
  refused(pod: AttestedPod, error: unknown): Promise<void>;
  /** Whether the Cluster lets it in without a person, and it still runs. Throws KubeError. */
  autoApproves(pod: AttestedPod, requestedRoles: readonly string[]): Promise<boolean>;
}

export function createAttestor(init: AttestorInit): Attestor {
  const { client, cluster, ledger, term, events, clock, log } = init;
  const reviews = createRateLimiter(REVIEWS, () => clock.nowMs());
  const audited = new Set<string>();

  const policies = (): readonly ServiceAccountPolicy[] => cluster().spec.enrolment?.serviceAccounts ?? [];

  const unavailable = (error: KubeError): EnrolmentError => {
    log.warn({ error }, "the API server cannot vouch for a pod");
    const forbidden = isKubeError(error, "FORBIDDEN");
    if (forbidden)
      events.record({
        object: cluster(),
        type: "Warning",
        reason: "PermissionMissing",
        message: `nodes cannot enrol by their service accounts: ${error.message}`,
      });
    const what = forbidden ? "the operator lacks a permission; its Cluster has the Event" : "ask again";
    return new EnrolmentError("ATTESTATION_UNAVAILABLE", `the API server was not asked: ${what}`, {
      cause: error,
    });
  };

  const review = async (token: string): Promise<Bearer> => {
    const allowed = policies();
    const audiences = [...new Set(allowed.map(({ audience }) => audience))];
    const { apiVersion, kind } = TOKEN_REVIEWS;
    const asked = { apiVersion, kind, metadata: {}, spec: { token, audiences } };
    return bearerOf(await client.create<TokenReview>(TOKEN_REVIEWS, asked), allowed);
  };

  const prove = async (bearer: Bearer, asked: Asked): Promise<AttestedPod> => {
    const host = hostOf(
      bearer,
      await findObject(client, PODS, bearer.podName, { namespace: bearer.namespace }),
    );
    return attested(bearer, host, await findObject(client, KUBERNETES_NODES, host), asked);
  };

  /** The bearer of a token that is good, but not for this. */
  const tell = async (
    who: { namespace: string; serviceAccount: string; name: string; uid: string },
    source: string,
    { code, message }: { readonly code: string; readonly message: string },
  ): Promise<void> => {
    const pod = `${who.namespace}/${who.name}`;
    log.warn({ code, pod, podUid: who.uid, source }, "a pod was turned away");
    const text = `pod ${pod}, from ${source}: ${code}: ${message}`;
    events.record({ object: cluster(), type: "Warning", reason: "AttestationRefused", message: text });
    const key = [who.uid, code, source].join(" ");
    if (audited.has(key)) return;
    await ledger.audit(term, {
      actor: `serviceaccount/${who.namespace}/${who.serviceAccount}`,
      action: "AttestationRefused",
      subject: `pod/${pod}`,
      detail: { code, podUid: who.uid, source },
    });
    audited.add(key);
    const [oldest] = audited;
    if (audited.size > MAX_AUDITED && oldest !== undefined) audited.delete(oldest);
  };

  return {
    requireOn() {
      if (policies().length > 0) return;
      throw new EnrolmentError(
        "SERVICE_ACCOUNTS_OFF",
        "the Cluster's spec.enrolment.serviceAccounts lets no service account ask: name it there, or use a join token",
      );
    },
    async vouch(token, asked) {
      const retryAfterSeconds = reviews.take("all");
      if (retryAfterSeconds > 0)
        throw new EnrolmentError("RATE_LIMITED", "too many tokens to review", { retryAfterSeconds });
      let bearer: Bearer | undefined;
      try {
        bearer = await review(token);
        const pod = await prove(bearer, asked);
        return { ...pod, allowedRoles: bearer.policy.allowedRoles ?? [] };
      } catch (error) {
        if (error instanceof KubeError) throw unavailable(error);
        if (bearer && error instanceof EnrolmentError) {
          const { namespace, serviceAccount, podName: name, podUid: uid } = bearer;
          await tell({ namespace, serviceAccount, name, uid }, asked.source, error);
        }
        throw error;
      }
    },
    async refused(pod, error) {
      const code: unknown = error instanceof Error && "code" in error ? error.code : undefined;
      if (error instanceof Error && (code === "POD_ALREADY_USED" || code === "NODE_NAME_TAKEN"))
        await tell(pod, pod.source, { code, message: error.message });
    },
    async autoApproves(pod, requestedRoles) {
      if (!isAutoApproved(pod, requestedRoles, policies())) return false;
      return livesOn(
        { podUid: pod.uid },
        await findObject(client, PODS, pod.name, { namespace: pod.namespace }),
      );
    },
  };
}
