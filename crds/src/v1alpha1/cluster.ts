/** Cluster: one fabric cluster, which is one trust domain and one namespace. */
import { z } from "zod";
import { defineKind } from "../schema/kind.ts";
import { ageColumn, conditions, readyColumn, reasonColumn } from "./condition.ts";
import {
  counter,
  dnsLabel,
  dnsName,
  immutable,
  nameIsLabel,
  nodeCount,
  observedGeneration,
  socketAddress,
} from "./fields.ts";
import { role } from "./role.ts";

const HOST = String.raw`([a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?|\[[0-9a-f:.]{2,45}\])`;

const addressPools = z
  .object({
    ipv4: z
      .string()
      .min(9)
      .max(18)
      .meta({
        description:
          "Overlay IPv4 pool as CIDR, between /8 and /30, e.g. 100.96.0.0/16. Each node gets one address.",
        "x-kubernetes-validations": [
          {
            rule: "isCIDR(self) && cidr(self).ip().family() == 4 && cidr(self).masked() == cidr(self)",
            message: "must be an IPv4 CIDR without host bits, e.g. 100.96.0.0/16",
            messageExpression:
              "'must be an IPv4 CIDR without host bits, e.g. 100.96.0.0/16, which ' + self + ' is not'",
          },
          {
            rule: "!isCIDR(self) || (cidr(self).prefixLength() >= 8 && cidr(self).prefixLength() <= 30)",
            message: "the prefix length must be between 8 and 30",
            messageExpression:
              "'the prefix length must be between 8 and 30, which that of ' + self + ' is not'",
          },
        ],
      }),
    ipv6: z
      .string()
      .min(4)
      .max(49)
      .meta({
        description:
          "Overlay IPv6 pool as CIDR, between /16 and /120, e.g. fd5a::/64. Each node gets one address.",
        "x-kubernetes-validations": [
          {
            rule: "isCIDR(self) && cidr(self).ip().family() == 6 && cidr(self).masked() == cidr(self)",
            message: "must be an IPv6 CIDR without host bits, e.g. fd5a::/64",
            messageExpression:
              "'must be an IPv6 CIDR without host bits, e.g. fd5a::/64, which ' + self + ' is not'",
          },
          {
            rule: "!isCIDR(self) || (cidr(self).prefixLength() >= 16 && cidr(self).prefixLength() <= 120)",
            message: "the prefix length must be between 16 and 120",
            messageExpression:
              "'the prefix length must be between 16 and 120, which that of ' + self + ' is not'",
          },
        ],
      }),
  })
  .meta({
    description:
      "Where overlay addresses are allocated from. Cannot be changed: nodes hold addresses from these pools.",
    "x-kubernetes-validations": immutable(
      "addressPools",
      "nodes hold addresses from them; make a new Cluster in a namespace of its own",
    ),
  });

const endpoints = z
  .object({
    enrolment: z
      .array(
        z
          .string()
          .max(320)
          .regex(new RegExp(`^https://${HOST}:[0-9]{1,5}$`)),
      )
      .min(1)
      .max(8)
      .meta({
        description:
          "Where nodes ask to join, as https://host:port. The server certificate names these hosts.",
        "x-kubernetes-list-type": "set",
      }),
    control: z.array(socketAddress).min(1).max(8).meta({
      description:
        "Where nodes reach the operator over QUIC, as ip:port (UDP), tried in order. IPv6 stands in brackets.",
      "x-kubernetes-list-type": "atomic",
    }),
  })
  .meta({ description: "Addresses under which the operator is reachable from nodes." });

const serviceAccount = z
  .object({
    name: dnsName.meta({ description: "Name of the ServiceAccount that the agents' pods run as." }),
    namespace: dnsLabel.meta({
      description:
        "Its namespace. In another namespace than the operator's own the operator needs the right to get pods there.",
    }),
    audience: z
      .string()
      .min(1)
      .max(253)
      .regex(/^[A-Za-z0-9]([-A-Za-z0-9_.:/]*[A-Za-z0-9])?$/)
      .default("fabric-enrolment")
      .meta({
        description:
          "Audience that the pods' projected tokens are made for. A token for anything else is refused, the API server's own included.",
      }),
    autoApprove: z.boolean().default(false).meta({
      description:
        "Lets a pod's node in without a person once the API server has vouched for its token. Otherwise its JoinRequest waits for an approval.",
    }),
    sourceAddress: z.enum(["Node", "Any"]).default("Node").meta({
      description:
        "Where a request may come from. Node: an address of the Node that the pod runs on, or of that Node's pod range. Any: from everywhere, for where address translation hides nodes; a stolen token could then be used from elsewhere.",
    }),
    allowedRoles: z.array(role).max(16).optional().meta({
      description: "Roles that these nodes may ask for. None when empty.",
      "x-kubernetes-list-type": "set",
    }),
  })
  .meta({
    "x-kubernetes-validations": [
      {
        rule: "self.audience != 'https://kubernetes.default.svc' && self.audience != 'https://kubernetes.default.svc.cluster.local'",
        message:
          "the audience must not be the API server's own, or every token of the ServiceAccount could enrol: use one of its own, e.g. fabric-enrolment, in the pods' projected volume too",
      },
    ],
  });

const enrolment = z
  .object({
    serviceAccounts: z
      .array(serviceAccount)
      .max(16)
      .optional()
      .meta({
        description:
          "ServiceAccounts whose pods may ask to join with their projected token, one entry for each audience. None when empty.",
        "x-kubernetes-list-type": "map",
        "x-kubernetes-list-map-keys": ["namespace", "name", "audience"],
      }),
  })
  .optional()
  .meta({ description: "Who may ask to join besides the holders of join tokens." });

const certificates = z
  .object({
    nodeLifetimeSeconds: z.int().min(120).max(2_592_000).default(86_400).meta({
      description:
        "How long a node's certificate is valid. Agents renew it well before; a node away for longer must be seen by the operator again.",
    }),
  })
  .default({ nodeLifetimeSeconds: 86_400 })
  .meta({ description: "Lifetimes of the certificates that the operator issues." });

const documents = z
  .object({
    snapshotLifetimeSeconds: z.int().min(60).max(604_800).default(43_200).meta({
      description:
        "How long nodes keep working on a signed snapshot while the operator is away. Never outlives the node's certificate.",
    }),
  })
  .default({ snapshotLifetimeSeconds: 43_200 })
  .meta({ description: "Lifetimes of signed documents." });

const tunnel = z
  .object({
    mtu: z
      .int()
      .min(1280)
      .max(9000)
      .default(1280)
      .meta({ description: "MTU in bytes of the overlay interface on every node. 1280 fits any path." }),
  })
  .default({ mtu: 1280 })
  .meta({ description: "The overlay interface." });

const dns = z
  .object({
    domain: dnsName.default("fabric.internal").meta({
      description:
        "Every node answers to <node>.<cluster>.<domain>, where <cluster> is this object's name. Only nodes know these names.",
    }),
  })
  .default({ domain: "fabric.internal" })
  .meta({ description: "Names of the nodes." });

const port = z.int().min(1).max(65_535);

const trafficRule = z
  .object({
    class: z.enum(["control", "dns", "interactive", "reliable", "bulk", "droppable"]).meta({
      description:
        "What the traffic is. control passes first, then dns, then interactive; reliable and bulk share the rest; droppable is dropped first.",
    }),
    protocol: z
      .enum(["tcp", "udp", "icmp"])
      .optional()
      .meta({ description: "Protocol of the inner packet; icmp is ICMPv6 too. Any when empty." }),
    ports: z
      .array(
        z
          .object({
            from: port.meta({ description: "First port." }),
            to: port.optional().meta({ description: "Last port; the first one when empty." }),
          })
          .meta({
            "x-kubernetes-validations": [
              {
                rule: "!has(self.to) || self.from <= self.to",
                message: "from must not be above to: swap them",
              },
            ],
          }),
      )
      .min(1)
      .max(16)
      .optional()
      .meta({
        description: "The source or the destination port lies in one of these. Any when empty.",
        "x-kubernetes-list-type": "atomic",
      }),
    dscp: z.array(z.int().min(0).max(63)).min(1).max(16).optional().meta({
      description: "The packet is marked with one of these DSCP values. Any when empty.",
      "x-kubernetes-list-type": "set",
    }),
    maxPacketBytes: z.int().min(1).max(65_535).optional().meta({
      description: "The packet has at most this many bytes, IP header included. Any when empty.",
    }),
    belowBytesPerSecond: z.int().min(1).max(1_000_000_000_000).optional().meta({
      description:
        "The flow's recent rate is below this many bytes a second. A faster one falls to the rules that follow. Any when empty.",
    }),
  })
  .meta({
    "x-kubernetes-validations": [
      {
        rule: "!has(self.ports) || !has(self.protocol) || self.protocol != 'icmp'",
        message: "icmp has no ports: remove ports, or say tcp or udp",
      },
    ],
  });

const trafficRules = z.array(trafficRule).min(1).max(64).optional().meta({
  description:
    "What class a packet gets on every node: the first rule that it fits decides; what fits none is bulk. The table of docs/api.md when empty.",
  "x-kubernetes-list-type": "atomic",
});

const spec = z
  .object({
    trustDomain: dnsName.meta({
      description:
        "Name of this fabric cluster in every identity and document, e.g. home.example. Cannot be changed.",
      "x-kubernetes-validations": immutable(
        "trustDomain",
        "every identity is made of it; make a new Cluster in a namespace of its own",
      ),
    }),
    reachability: z.enum(["None", "Mesh"]).default("None").meta({
      description: "Who may talk to whom. None: no node. Mesh: every active node may talk to every other.",
    }),
    addressPools,
    endpoints,
    enrolment,
    certificates,
    documents,
    tunnel,
    dns,
    trafficRules,
  })
  .meta({ description: "What the platform owner wants." });

const authority = z
  .object({
    ledgerId: z.string().max(64).optional().meta({
      description:
        "Id of the ledger that rules this cluster. An operator with another ledger refuses to sign.",
    }),
    term: counter
      .optional()
      .meta({ description: "Term of the operator in office; each one takes a higher." }),
    epoch: counter.optional().meta({ description: "Number of the newest decision that nodes should know." }),
    holder: z.string().max(253).optional().meta({ description: "The operator process in office." }),
    caPin: z.string().max(64).optional().meta({
      description: "base64url SHA-256 of the CA's public key (SPKI). Join tokens carry it.",
    }),
    caCertificate: z
      .string()
      .max(8192)
      .optional()
      .meta({ description: "CA certificate of the cluster, PEM." }),
    signingKeyIds: z
      .array(z.string().min(1).max(128))
      .max(16)
      .optional()
      .meta({ description: "Ids of the keys that sign documents.", "x-kubernetes-list-type": "set" }),
  })
  .optional()
  .meta({ description: "Who signs for this cluster, and since which decision." });

const status = z
  .object({
    observedGeneration,
    conditions: conditions(
      "Ready sums up; AuthorityHeld says whether an operator holds the authority to sign for this cluster.",
    ),
    authority,
    nodes: z
      .object({
        approved: nodeCount.optional().meta({ description: "Nodes that are members and not revoked." }),
        connected: nodeCount.optional().meta({ description: "Members with a live control session." }),
        confirmed: nodeCount
          .optional()
          .meta({ description: "Members that confirmed the newest epoch: they act on all decisions made." }),
      })
      .optional()
      .meta({ description: "How many nodes, and how many of them are up to date." }),
  })
  .meta({ description: "What the operator found. Written by the operator only." });

export const clusterKind = defineKind({
  kind: "Cluster",
  plural: "clusters",
  singular: "cluster",
  shortName: "fcl",
  description:
    "Cluster is one fabric cluster: a trust domain with its own certificate authority, address pools and nodes. It lives alone in its namespace, together with everything that belongs to it.",
  spec,
  status,
  rules: [nameIsLabel("Cluster")],
  columns: [
    readyColumn,
    reasonColumn,
    { name: "Nodes", type: "integer", jsonPath: ".status.nodes.approved", description: "Approved nodes." },
    {
      name: "Connected",
      type: "integer",
      jsonPath: ".status.nodes.connected",
      description: "Nodes with a live control session.",
    },
    { name: "Term", type: "integer", jsonPath: ".status.authority.term", description: "Authority term." },
    {
      name: "Epoch",
      type: "integer",
      jsonPath: ".status.authority.epoch",
      description: "Newest decision.",
      priority: 1,
    },
    {
      name: "Confirmed",
      type: "integer",
      jsonPath: ".status.nodes.confirmed",
      description: "Nodes that act on the newest decision.",
      priority: 1,
    },
    ageColumn,
  ],
});

export type ServiceAccountPolicy = z.output<typeof serviceAccount>;
export type ClusterSpec = z.output<typeof spec>;
/** As people write it: what has a default may be left out. */
export type ClusterSpecInput = z.input<typeof spec>;
export type ClusterStatus = z.output<typeof status>;
export type Cluster = ReturnType<typeof clusterKind.validate>;
