/** The commands of `fabric` and their options. What they do lives beside: cluster/ over the Kubernetes API, node/ over the agent's local API, host/ with the host itself. */
import { Argument, Command, CommanderError, InvalidArgumentError, Option } from "commander";
import { ROLES } from "@saf/crds";
import { AddressError, MAX_CANDIDATES, parseEndpoint } from "@saf/protocol";
import type { ClusterClient, ClusterOptions } from "./cluster/cluster-client.ts";
import type { DecisionRequest } from "./cluster/decide.ts";
import type { NewToken } from "./cluster/token.ts";
import { asCliError, CliError, EXIT } from "./errors.ts";
import { formatMoment, parseDuration } from "./format/duration.ts";
import { formatBytes } from "./format/quantity.ts";
import { PROGRAMS } from "./host/layout.ts";
import type { NamesMode } from "./host/settings.ts";
import { type Finding, renderFindings } from "./node/findings.ts";
import { checkJoinOrder, checkServer, joinAndWatch } from "./node/join.ts";
import { connectLocalApi, DEFAULT_SOCKET, type LocalApi } from "./node/local-api.ts";
import { renderPeers } from "./node/peers.ts";
import { renderStatus } from "./node/status.ts";
import { readToken, type TokenOptions } from "./node/token-source.ts";
import { note, type OutputFormat, printError, printResult, type Terminal } from "./terminal.ts";

export interface Surroundings {
  terminal: Terminal;
  /** Unix seconds. */
  now: () => number;
}

interface GlobalOptions extends ClusterOptions {
  output: OutputFormat;
  socket: string;
}

/** Runs one command line (without `node` and the script) and returns the exit code. Never throws. */
export async function runFabric(args: readonly string[], surroundings: Surroundings): Promise<number> {
  const program = createProgram(surroundings);
  try {
    await program.parseAsync([...args], { from: "user" });
    return EXIT.ok;
  } catch (error) {
    // commander has said already what is wrong with the command line; help and version end with 0
    if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.ok : EXIT.usage;
    const failure = asCliError(error);
    printError(surroundings.terminal, program.opts<GlobalOptions>().output, failure);
    return failure.exit;
  }
}

function createProgram({ terminal, now }: Surroundings): Command {
  const program = new Command("fabric")
    .description("Secure Access Fabric: tokens, join requests and nodes")
    .exitOverride()
    .configureHelp({ showGlobalOptions: true })
    .configureOutput({ writeOut: terminal.stdout, writeErr: terminal.stderr })
    .showHelpAfterError("(--help says more)")
    .addOption(
      new Option("-o, --output <format>", "how to print").choices(["table", "json"]).default("table"),
    )
    .option("-n, --namespace <name>", "namespace of the fabric cluster (default: the context's)")
    .option("--kubeconfig <file>", "kubeconfig (default: KUBECONFIG or ~/.kube/config)")
    .option("--context <name>", "context of the kubeconfig")
    .option("--socket <path>", "unix socket of the agent", DEFAULT_SOCKET);
  const options = (): GlobalOptions => program.opts<GlobalOptions>();
  const print = <T>(result: T, render: (result: T) => string): void =>
    printResult(terminal, options().output, result, render);

  addTokenCommands(program, { options, print, terminal, now });
  addRequestCommands(program, { options, print, terminal, now });
  addNodeCommands(program, { options, print, terminal, now });
  addHostCommands(program, { options, print, terminal, now });
  return program;
}

interface CommandContext extends Surroundings {
  options: () => GlobalOptions;
  print: <T>(result: T, render: (result: T) => string) => void;
}

/** Loaded when needed: a node has no use for a Kubernetes client, which takes half a second to load. */
async function cluster(context: CommandContext): Promise<ClusterClient> {
  const { connectCluster } = await import("./cluster/cluster-client.ts");
  return connectCluster(context.options());
}

function agent(context: CommandContext): LocalApi {
  return connectLocalApi(context.options().socket);
}

function addTokenCommands(program: Command, context: CommandContext): void {
  const token = program.command("token").description("join tokens, with which hosts ask to join");
  token
    .command("create")
    .description("make a token and print it; it is stored nowhere and cannot be shown again")
    .option("--name <name>", "name of the JoinToken (default: a random one)")
    .option("--uses <n>", "how many hosts may use it", parseUses, 1)
    .addOption(
      new Option("--expires <duration>", "how long it is accepted, e.g. 30m, 1h, 7d")
        .argParser(durationSeconds)
        .default(3600, "1h"),
    )
    .addOption(
      new Option("--role <role>", "role that a host may ask for; may be repeated")
        .argParser(collectRole)
        .default([], "none"),
    )
    .option("--area <area>", "area that the hosts stand in")
    .action(async (request: NewToken) => {
      const { createJoinToken } = await import("./cluster/token.ts");
      const created = await createJoinToken(await cluster(context), request, context.now());
      context.print(created, (result) => result.token);
      const uses = created.maxUses === 1 ? "one host" : `${created.maxUses} hosts`;
      const end = formatMoment(Date.parse(created.expiresAt) / 1000, context.now());
      note(context.terminal, `token ${created.name}: for ${uses}, expires ${end}; it is not shown again`);
    });
  token
    .command("list")
    .description("tokens, and what became of them")
    .action(async () => {
      const { listJoinTokens, renderJoinTokens } = await import("./cluster/token.ts");
      context.print(await listJoinTokens(await cluster(context)), (tokens) =>
        renderJoinTokens(tokens, context.now()),
      );
    });
  token
    .command("revoke")
    .description("end a token at once, for good")
    .argument("<name>", "name of the JoinToken")
    .action(async (name: string) => {
      const { revokeJoinToken } = await import("./cluster/token.ts");
      await revokeJoinToken(await cluster(context), name);
      context.print({ name, revoked: true }, () => `token ${name} revoked`);
    });
}

function addRequestCommands(program: Command, context: CommandContext): void {
  program
    .command("requests")
    .description("who asks to join")
    .option("--pending", "only those that nobody decided yet")
    .action(async (filter: { pending?: boolean }) => {
      const { listJoinRequests, renderJoinRequests } = await import("./cluster/requests.ts");
      const requests = await listJoinRequests(await cluster(context), filter);
      context.print(requests, (all) => renderJoinRequests(all, context.now()));
    });
  const target = () => new Argument("<request>", "name of the request, or of the node that asks");
  const decideAs =
    (decision: DecisionRequest["decision"]) => async (name: string, given: { reason?: string }) => {
      const { decide, renderDecision } = await import("./cluster/decide.ts");
      const wanted = { target: name, decision, reason: given.reason };
      context.print(await decide(await cluster(context), wanted), renderDecision);
    };
  program
    .command("approve")
    .description("let a host become a node")
    .addArgument(target())
    .option("--reason <text>", "why", reasonText)
    .action(decideAs("Approve"));
  program
    .command("reject")
    .description("refuse a host; it gets to read the reason")
    .addArgument(target())
    .requiredOption("--reason <text>", "why", reasonText)
    .action(decideAs("Deny"));
}

interface JoinOptions extends TokenOptions {
  server: string;
  role: string[];
  wait: boolean;
  timeout?: number;
}

function addNodeCommands(program: Command, context: CommandContext): void {
  program
    .command("join")
    .description("ask to join a fabric cluster, on this node, and wait for the decision")
    .requiredOption("--server <url>", "enrolment server, https://host:port")
    .option("--token-file <file>", "file that holds the token; - is stdin")
    .option("--token <token>", "the token itself; other users of this host can see it")
    .addOption(
      new Option("--role <role>", "role to ask for; may be repeated")
        .argParser(collectRole)
        .default([], "none"),
    )
    .option("--no-wait", "do not wait for the decision")
    .option("--timeout <duration>", "stop waiting after this long; the agent goes on", durationSeconds)
    .action((given: JoinOptions) => join(context, given));
  program
    .command("status")
    .description("what this node is and lives by")
    .action(async () => {
      context.print(await agent(context).status(), (status) => renderStatus(status, context.now()));
    });
  program
    .command("netcheck")
    .description(
      "what the networks around this node let through: families, mapped address, paths, MTU, names",
    )
    .action(async () => {
      const { checkNetwork } = await import("./node/self-checks.ts");
      const { renderNetcheck } = await import("./node/netcheck.ts");
      const report = await checkNetwork(agent(context));
      context.print(report, renderNetcheck);
      requirePassed("NETCHECK_FAILED", report.findings);
    });
  program
    .command("smoke")
    .description("test this node from end to end: engine, snapshot, operator, every peer, names")
    .addOption(
      new Option("--peer <name>", "only this peer; may be repeated").argParser(collect).default([], "all"),
    )
    .action(async ({ peer }: { peer: string[] }) => {
      const { smokeTest } = await import("./node/self-checks.ts");
      const findings = await smokeTest(agent(context), { only: peer, nowSeconds: context.now() });
      context.print(findings, renderFindings);
      requirePassed("SMOKE_FAILED", findings);
    });
  program
    .command("bundle")
    .description("pack what somebody who helps needs to see, without secrets, into one file")
    .option("--file <path>", "file to write (default: fabric-bundle-<node>-<time>.tar.gz)")
    .option("--cluster", "with the fabric's objects of the cluster, by the kubeconfig")
    .action((given: { file?: string; cluster?: boolean }) => bundle(context, given));
  program
    .command("peers")
    .description("whom this node talks to")
    .action(async () => {
      context.print(await agent(context).peers(), (peers) => renderPeers(peers, context.now()));
    });
}

async function bundle(context: CommandContext, given: { file?: string; cluster?: boolean }): Promise<void> {
  const { packBundle } = await import("./node/self-checks.ts");
  const clusterParts = async () => {
    const { clusterParts: gather } = await import("./cluster/bundle-parts.ts");
    return gather(await cluster(context));
  };
  const order = {
    file: given.file,
    nowSeconds: context.now(),
    clusterParts: given.cluster ? clusterParts : undefined,
  };
  const report = await packBundle(agent(context), order);
  context.print(
    report,
    ({ file, bytes, entries }) => `${file}: ${entries.length} files, ${formatBytes(bytes)}`,
  );
}

function requirePassed(code: string, findings: readonly Finding[]): void {
  const failed = findings.filter(({ result }) => result === "fail").map(({ what }) => what);
  if (failed.length > 0) throw new CliError(code, `failed: ${failed.join(", ")}`, { exit: EXIT.failure });
}

interface InstallGiven extends TokenOptions {
  nodeName?: string;
  server?: string;
  role: string[];
  advertise: string[];
  listenPort: number;
  names: NamesMode;
  programs: string;
  reconfigure?: boolean;
  start: boolean;
  dryRun?: boolean;
  root: string;
}

function addHostCommands(program: Command, context: CommandContext): void {
  const programs = () =>
    new Option("--programs <folder>", "where the programs are").default(PROGRAMS).argParser(absolutePath);
  const root = () =>
    new Option("--root <folder>", "the host's files are below this folder; nothing is started")
      .default("/")
      .argParser(absolutePath);
  program
    .command("install")
    .description(
      "make this host a node that systemd keeps running; said again, it mends what is not as it should be",
    )
    .option("--node-name <name>", "name of the node (default: the host's, dots as dashes)")
    .option("--server <url>", "enrolment server, https://host:port, that the node asks by itself")
    .option("--token-file <file>", "file that holds the join token; - is stdin")
    .option("--token <token>", "the token itself; other users of this host can see it")
    .addOption(
      new Option("--role <role>", "role to ask for; may be repeated")
        .argParser(collectRole)
        .default([], "none"),
    )
    .addOption(
      new Option("--advertise <ip:port>", "endpoint that no interface shows; may be repeated")
        .argParser(collectEndpoint)
        .default([], "none"),
    )
    .option("--listen-port <port>", "UDP port of the engine", parsePort, 7443)
    .addOption(
      new Option("--names <mode>", "how programs of this host learn names (docs/names.md)")
        .choices(["auto", "resolv.conf", "serve", "off"])
        .default("auto"),
    )
    .option("--reconfigure", "write the configuration anew, whatever is there")
    .option("--no-start", "write the files alone")
    .option("--dry-run", "only say what would be done")
    .addOption(programs())
    .addOption(root())
    .action((given: InstallGiven) => installHere(context, given));
  program
    .command("uninstall")
    .description("take the node away from this host, with everything that it made")
    .option("--keep-state", "keep its key and membership: installed again, it is the same node")
    .option("--dry-run", "only say what would be done")
    .addOption(programs())
    .addOption(root())
    .action(async (given: { keepState?: boolean; dryRun?: boolean; programs: string; root: string }) => {
      const { renderUninstalled, uninstall } = await import("./host/uninstall.ts");
      const { keepState = false, dryRun = false, ...where } = given;
      context.print(await uninstall({ ...where, keepState, dryRun }), renderUninstalled);
    });
}

async function installHere(context: CommandContext, given: InstallGiven): Promise<void> {
  const { install, renderInstalled } = await import("./host/install.ts");
  const hasToken = given.token !== undefined || given.tokenFile !== undefined;
  const { nodeName, server, role, advertise, listenPort, names, start, root } = given;
  if (server !== undefined) checkServer(server);
  const installed = await install({
    nodeName,
    server,
    token: hasToken ? await readToken(given) : undefined,
    roles: role,
    advertise,
    listenPort,
    names,
    programs: given.programs,
    reconfigure: given.reconfigure ?? false,
    start: start && root === "/",
    dryRun: given.dryRun ?? false,
    root,
  });
  context.print(installed, renderInstalled);
}

async function join(context: CommandContext, given: JoinOptions): Promise<void> {
  const order = { server: given.server, token: await readToken(given), requestedRoles: given.role };
  checkJoinOrder(order);
  const api = agent(context);
  if (!given.wait) {
    context.print(await api.join(order), ({ state }) => `${state}; fabric status tells how it goes on`);
    return;
  }
  const progress = (text: string) => note(context.terminal, text);
  const status = await joinAndWatch(api, order, { progress, timeoutSeconds: given.timeout });
  context.print(status, ({ nodeName, trustDomain, addresses }) => {
    return `${nodeName} is a node of ${trustDomain}, at ${addresses?.ipv4} and ${addresses?.ipv6}`;
  });
}

function parseUses(text: string): number {
  const uses = /^\d{1,4}$/.test(text) ? Number(text) : 0;
  if (uses < 1 || uses > 1000) throw new InvalidArgumentError("A number between 1 and 1000.");
  return uses;
}

function parsePort(text: string): number {
  const port = /^\d{1,5}$/.test(text) ? Number(text) : 0;
  if (port < 1 || port > 65_535) throw new InvalidArgumentError("A port between 1 and 65535.");
  return port;
}

function absolutePath(text: string): string {
  if (!text.startsWith("/") || text.length > 4096) throw new InvalidArgumentError("An absolute path.");
  return text === "/" ? text : text.replace(/\/+$/, "");
}

function collectEndpoint(text: string, before: string[]): string[] {
  try {
    parseEndpoint(text);
  } catch (error) {
    if (!(error instanceof AddressError)) throw error;
    throw new InvalidArgumentError("An endpoint reads <ip>:<port>, IPv6 in brackets.");
  }
  if (before.length >= MAX_CANDIDATES) throw new InvalidArgumentError(`At most ${MAX_CANDIDATES} endpoints.`);
  return [...before, text];
}

function durationSeconds(text: string): number {
  const seconds = parseDuration(text);
  if (seconds === undefined) throw new InvalidArgumentError("A duration reads 90s, 30m, 1h30m or 7d.");
  return seconds;
}

function reasonText(text: string): string {
  if (text.trim() === "" || text.length > 256)
    throw new InvalidArgumentError("A reason has 1 to 256 characters.");
  return text;
}

function collect(text: string, before: string[]): string[] {
  return [...before, text];
}

function collectRole(text: string, before: string[]): string[] {
  if (!(ROLES as readonly string[]).includes(text)) {
    throw new InvalidArgumentError(`Roles are ${ROLES.join(", ")}.`);
  }
  return [...before, text];
}
