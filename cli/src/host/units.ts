/**
 * The systemd units of a node. The engine is root with two capabilities and a device, the agent an ordinary user with none; both see a
 * read-only system. What somebody wants otherwise goes into a drop-in (`systemctl edit fabric-agent`).
 */
import { AGENT_UNIT, ENGINE_UNIT, NAMES_SOCKET_UNIT, PATHS, USER } from "./layout.ts";

/** For both: what neither ever needs. */
const CONFINED = `NoNewPrivileges=yes
ProtectSystem=strict
ProtectHome=yes
PrivateTmp=yes
ProtectClock=yes
ProtectHostname=yes
ProtectKernelTunables=yes
ProtectKernelModules=yes
ProtectKernelLogs=yes
ProtectControlGroups=yes
ProtectProc=invisible
RestrictNamespaces=yes
RestrictSUIDSGID=yes
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK
LockPersonality=yes
RemoveIPC=yes
SystemCallArchitectures=native
SystemCallFilter=@system-service`;

export function engineUnit(programs: string): string {
  return `# Written by \`fabric install\`; changes go into a drop-in.
[Unit]
Description=Secure Access Fabric: packets
Documentation=file:${programs}/README.md
After=network.target
StartLimitIntervalSec=0

[Service]
Type=exec
ExecStart=${programs}/bin/fabric-engine --config ${PATHS.engineConfig}
# The group reads the node's key, which is the agent's.
User=root
Group=${USER}
UMask=0007
RuntimeDirectory=fabric-engine
RuntimeDirectoryMode=0750
StateDirectory=fabric/engine
StateDirectoryMode=0700
Restart=always
RestartSec=500ms
TimeoutStopSec=10
LimitNOFILE=65536
# TUN, routes and socket buffers; real-time priority for the packet thread.
CapabilityBoundingSet=CAP_NET_ADMIN CAP_SYS_NICE
DevicePolicy=closed
DeviceAllow=/dev/net/tun rw
MemoryDenyWriteExecute=yes
${CONFINED}

[Install]
WantedBy=multi-user.target
`;
}

export interface AgentNames {
  /** It answers on port 53, which the socket unit opens for it. */
  readonly takesPort: boolean;
  /** The file that it may point to itself; undefined: none. */
  readonly resolvConf: string | undefined;
}

export function agentUnit(programs: string, { takesPort, resolvConf }: AgentNames): string {
  const names = takesPort ? `# Opens port 53 for it.\nRequires=${NAMES_SOCKET_UNIT}\n` : "";
  return `# Written by \`fabric install\`; changes go into a drop-in.
[Unit]
Description=Secure Access Fabric: decisions
Documentation=file:${programs}/README.md
Wants=network-online.target ${ENGINE_UNIT}
After=network-online.target ${ENGINE_UNIT}
${names}StartLimitIntervalSec=0

[Service]
Type=exec
ExecStart=${programs}/bin/fabric-agent --config ${PATHS.agentConfig}
User=${USER}
Group=${USER}
UMask=0027
RuntimeDirectory=fabric
RuntimeDirectoryMode=0755
StateDirectory=fabric/agent
StateDirectoryMode=0750
${resolvConf === undefined ? "" : `ReadWritePaths=${resolvConf}\n`}Restart=always
RestartSec=1s
TimeoutStopSec=10
CapabilityBoundingSet=
AmbientCapabilities=
PrivateDevices=yes
RestrictRealtime=yes
${CONFINED}

[Install]
WantedBy=multi-user.target
`;
}

export function namesSocketUnit(listen: string): string {
  return `# Written by \`fabric install\`; changes go into a drop-in.
[Unit]
Description=Secure Access Fabric: port of the name server

[Socket]
ListenDatagram=${listen}
ListenStream=${listen}
Service=${AGENT_UNIT}

[Install]
WantedBy=sockets.target
`;
}

/** systemd-resolved asks polkit whether the agent may say what its server is for. */
export function polkitRule(): string {
  return `// Written by \`fabric install\`: the agent tells systemd-resolved the names of the fabric.
polkit.addRule((action, subject) => {
  const asked = ["set-dns-servers", "set-domains", "set-default-route", "set-dnssec", "set-dns-over-tls", "revert"];
  const allowed = asked.some((name) => action.id === \`org.freedesktop.resolve1.\${name}\`);
  if (allowed && subject.user === "${USER}") return polkit.Result.YES;
});
`;
}
