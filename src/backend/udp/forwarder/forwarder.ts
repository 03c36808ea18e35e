// The forwarder's one loop. It has a process of its own and nothing else to do, so it waits in poll(2) and not in an
// event loop; it outlives the agent, so that packets go on while there is none.
//
//   no agent, no device --> nobody wants it: it ends
//   an agent says what shall be (config), as often as it likes; the device and the socket are opened when they are not
//   the device went (ip link del): detached, until an agent has made it again and says so
import { parseIpv4, parsePrefix } from "../../../formats/netip/index.ts";
import { DatagramSocket, Poll, Tun } from "../../../kernel/index.ts";
import type { ForwarderConfig } from "../protocol.ts";
import { Control } from "./control.ts";
import { Counters } from "./counters.ts";
import { Incoming, type OwnSubnet } from "./incoming.ts";
import { Outgoing, type Route } from "./outgoing.ts";
import { bigEndian, littleEndian, maskOf, PeerTable } from "./peer-table.ts";

/** Places in poll(). */
const [TUN, SOCKET, LISTENER, AGENT] = [0, 1, 2, 3];
/** Some 60 of the largest batches. */
const SOCKET_BUFFER_BYTES = 4 * 1024 * 1024;
/** How often the agent hears of the counters, and a device that is down is looked at. */
const PERIOD_MS = 100;
/** An agent that starts a forwarder connects within this. */
const GRACE_MS = 10_000;

export class Forwarder {
  readonly #build: string;
  readonly #counters = new Counters();
  readonly #control: Control;
  readonly #poll = new Poll(4);
  readonly #outgoing = new Outgoing(this.#counters);
  #incoming: Incoming | undefined;
  #tun: Tun | undefined;
  #socket: DatagramSocket | undefined;
  /** Of sockets that were before this one. */
  #socketDrops = 0;
  #listensOn = "";
  #route: Route = { peers: new PeerTable([]), port: 0, tunAddress: 0 };
  #own: OwnSubnet = { network: -1, mask: 0 };
  #isTunBroken = false;
  #told = 0;
  #tellAt = 0;
  #graceEndsAt = performance.now() + GRACE_MS;

  constructor(device: string, build: string) {
    this.#build = build;
    this.#control = new Control(device);
    this.#poll.watch(LISTENER, this.#control.listener);
  }

  /** Returns when nobody wants it any more. */
  run(): void {
    while (this.#isWanted()) {
      this.#poll.wait(this.#timeoutMs());
      this.#carry();
      if (this.#poll.isReady(LISTENER) && this.#control.accept()) this.#greet();
      if (this.#control.connection !== undefined && this.#poll.isReady(AGENT) && !this.#obey()) return;
      this.#tell();
      // Whichever of these lost the agent, poll() must not be asked about a descriptor that is closed: it answers at once.
      this.#poll.watch(AGENT, this.#control.connection);
    }
  }

  #carry(): void {
    const [tun, socket] = [this.#tun, this.#socket];
    if (!tun) return;
    if (this.#isTunBroken) this.#isTunBroken = false;
    else if (this.#poll.isBroken(TUN)) {
      if (tun.isAttached()) this.#isTunBroken = true;
      else this.#detach();
    } else if (socket && this.#poll.isReady(TUN) && this.#outgoing.drain(tun, socket.fd, this.#route) === "gone")
      this.#detach();
    this.#poll.watch(TUN, this.#isTunBroken ? undefined : this.#tun?.fd);
    if (socket && this.#poll.isReady(SOCKET)) this.#incoming?.drain(socket.fd, this.#own);
  }

  #timeoutMs(): number {
    const hasToTell = this.#control.connection !== undefined && this.#counters.sum !== this.#told;
    return this.#isTunBroken || hasToTell || this.#graceEndsAt > 0 ? PERIOD_MS : -1;
  }

  #isWanted(): boolean {
    return this.#tun !== undefined || this.#control.connection !== undefined || performance.now() < this.#graceEndsAt;
  }

  #detach(): void {
    this.#tun?.[Symbol.dispose]();
    this.#tun = undefined;
    this.#incoming = undefined;
    this.#isTunBroken = false;
    this.#poll.watch(TUN, undefined);
    // What arrives waits, and is counted where there is no room.
    this.#poll.watch(SOCKET, undefined);
  }

  #greet(): void {
    this.#graceEndsAt = 0;
    this.#control.send({ hello: { build: this.#build, pid: process.pid } });
    this.#told = -1;
  }

  /** False: it was told to end. */
  #obey(): boolean {
    for (const message of this.#control.receive()) {
      if ("end" in message) return false;
      this.#control.send({ configured: this.#configure(message.config) });
    }
    return true;
  }

  #configure(config: ForwarderConfig): { readonly problem?: string } {
    try {
      const subnet = parsePrefix(config.subnet);
      const mask = maskOf(subnet.length);
      this.#own = { network: bigEndian(subnet.address) & mask, mask };
      const tunAddress = littleEndian(subnet.address);
      const peers = config.peers ? new PeerTable(config.peers) : this.#route.peers;
      this.#route = { peers, port: config.port, tunAddress };
      this.#openSocket(config);
      if (this.#tun && !this.#tun.isAttached()) this.#detach();
      if (!this.#tun) {
        this.#tun = Tun.attach(config.device);
        this.#incoming = new Incoming(this.#tun, this.#counters);
        this.#poll.watch(TUN, this.#tun.fd);
        this.#poll.watch(SOCKET, this.#socket?.fd);
      }
      return {};
    } catch (error) {
      return { problem: error instanceof Error ? error.message : String(error) };
    }
  }

  #openSocket({ address, port }: ForwarderConfig): void {
    const where = `${address}:${port}`;
    if (this.#socket && this.#listensOn === where) return;
    const opened = DatagramSocket.open({ address: parseIpv4(address), port, bufferBytes: SOCKET_BUFFER_BYTES });
    if (this.#socket) {
      this.#socketDrops += this.#socket.drops();
      this.#socket[Symbol.dispose]();
    }
    this.#socket = opened;
    this.#listensOn = where;
    this.#poll.watch(SOCKET, opened.fd);
  }

  #tell(): void {
    if (this.#control.connection === undefined) return;
    const now = performance.now();
    if (now < this.#tellAt) return;
    this.#tellAt = now + PERIOD_MS;
    if (this.#socket) this.#counters.setDrops("rx-socket-full", this.#socketDrops + this.#socket.drops());
    if (this.#counters.sum === this.#told) return;
    this.#told = this.#counters.sum;
    this.#control.send({ traffic: this.#counters.traffic() });
  }
}
