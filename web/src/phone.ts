// The media of the desk's calls: a peer connection each, one microphone for all, a player each.
// The server is ICE-lite, so what it needs of us is our names and keys, not our candidates.

import type { Sound } from "./sound.svelte";

interface Line {
  connection: RTCPeerConnection;
  /** This call's copy of the microphone, so that mute is the call's own. */
  track: MediaStreamTrack | null;
  player: HTMLAudioElement;
  /** New names for ICE are being agreed. */
  renewing: boolean;
  /** The network has changed since these were made. */
  outdated: boolean;
}

export class Phone {
  iceServers: RTCIceServer[] = [];
  /** Asked with a new offer when a call's way is lost; returns the server's answer. */
  renegotiate: ((call: string, sdp: string) => Promise<string | undefined>) | null = null;
  #lines = new Map<string, Line>();
  #muted = new Set<string>();
  #restarting = new Map<string, ReturnType<typeof setTimeout>>();

  constructor(private readonly sound: Sound) {
    sound.changed = () => this.#rewire();
  }

  /** Opens a call of ours; the offer. */
  async offer(call: string): Promise<string> {
    const { connection } = await this.#open(call);
    await connection.setLocalDescription(await connection.createOffer());
    return this.#described(connection);
  }

  /** The far end's answer to our offer: an early one may be replaced by another, or is final without one. */
  async answered(call: string, sdp: string | null, early: boolean): Promise<void> {
    const connection = this.#lines.get(call)?.connection;
    if (!connection || connection.signalingState === "stable") return;
    const final = sdp ?? connection.remoteDescription?.sdp;
    if (final) await connection.setRemoteDescription({ type: early ? "pranswer" : "answer", sdp: final });
  }

  /** Answers an offer in a new connection, which takes the place of what the call had. */
  async accept(call: string, sdp: string): Promise<string> {
    const old = this.#lines.get(call);
    const line = await this.#open(call);
    try {
      return await this.#answer(line.connection, sdp);
    } finally {
      if (old) this.#shut(old);
    }
  }

  /** Answers an offer inside a call that stands. */
  async again(call: string, sdp: string): Promise<string> {
    const line = this.#lines.get(call);
    return line ? this.#answer(line.connection, sdp) : this.accept(call, sdp);
  }

  mute(call: string, on: boolean): void {
    if (on) this.#muted.add(call);
    else this.#muted.delete(call);
    const track = this.#lines.get(call)?.track;
    if (track) track.enabled = !on;
  }

  close(call: string): void {
    clearTimeout(this.#restarting.get(call));
    this.#restarting.delete(call);
    const line = this.#lines.get(call);
    this.#lines.delete(call);
    this.#muted.delete(call);
    if (line) this.#shut(line);
    if (this.#lines.size === 0) this.sound.use(false);
  }

  has(call: string): boolean {
    return this.#lines.has(call);
  }

  /** Looks for a new way for every call: the network has changed. */
  restartAll(): void {
    for (const call of this.#lines.keys()) this.#restart(call, 0);
  }

  async #open(call: string): Promise<Line> {
    const connection = new RTCPeerConnection({
      iceServers: this.iceServers,
      bundlePolicy: "max-bundle",
    });
    const player = this.sound.player();
    const line: Line = { connection, track: null, player, renewing: false, outdated: false };
    this.#lines.set(call, line);
    this.sound.use(true);
    connection.ontrack = ({ streams, track }) => {
      player.srcObject = streams[0] ?? new MediaStream([track]);
      player.play().catch(() => {});
    };
    connection.onconnectionstatechange = () => {
      if (this.#lines.get(call) !== line) return;
      if (connection.connectionState === "disconnected") this.#restart(call, RESTART_AFTER_MS, true);
      if (connection.connectionState === "failed") this.#restart(call, 0);
    };
    try {
      const track = (await this.sound.microphone()).clone();
      if (this.#lines.get(call) !== line) track.stop();
      line.track = track;
      track.enabled = !this.#muted.has(call);
      connection.addTrack(track, new MediaStream([track]));
    } catch (error) {
      this.close(call);
      throw error;
    }
    return line;
  }

  async #answer(connection: RTCPeerConnection, sdp: string): Promise<string> {
    await connection.setRemoteDescription({ type: "offer", sdp });
    await connection.setLocalDescription(await connection.createAnswer());
    return this.#described(connection);
  }

  /** Our description, with the candidates that are there without waiting for those that may never come. */
  async #described(connection: RTCPeerConnection): Promise<string> {
    if (connection.iceGatheringState !== "complete") {
      await new Promise<void>((resolve) => {
        const done = () => connection.iceGatheringState === "complete" && resolve();
        connection.addEventListener("icegatheringstatechange", done);
        setTimeout(resolve, GATHERING_PATIENCE_MS);
      });
    }
    return connection.localDescription?.sdp ?? "";
  }

  /** New names for ICE, at once or after a while; only a way that is `lost` may come back by itself meanwhile. */
  #restart(call: string, after: number, lost = false): void {
    clearTimeout(this.#restarting.get(call));
    const timer = setTimeout(() => {
      this.#restarting.delete(call);
      const line = this.#lines.get(call);
      if (line && !(lost && line.connection.connectionState === "connected")) void this.#renew(call, line);
    }, after);
    this.#restarting.set(call, timer);
  }

  /** One offer at a time: the server's answer is to the names that it was given, not to newer ones. */
  async #renew(call: string, line: Line): Promise<void> {
    line.outdated = line.renewing;
    if (line.renewing) return;
    const { connection } = line;
    if (!this.renegotiate || connection.signalingState !== "stable") return;
    line.renewing = true;
    let after = 0;
    try {
      await connection.setLocalDescription(await connection.createOffer({ iceRestart: true }));
      const answer = await this.renegotiate(call, await this.#described(connection));
      if (!answer) throw new Error("no answer");
      await connection.setRemoteDescription({ type: "answer", sdp: answer });
    } catch {
      // Does nothing where the offer was not made.
      await connection.setLocalDescription({ type: "rollback" }).catch(() => {});
      after = RESTART_AGAIN_MS;
    }
    line.renewing = false;
    if ((after > 0 || line.outdated) && this.#lines.get(call) === line) this.#restart(call, after);
  }

  /** Another microphone or speaker was chosen: each call that stands goes on with it. */
  async #rewire(): Promise<void> {
    for (const [call, line] of this.#lines) {
      this.sound.route(line.player);
      const sender = line.connection.getSenders().find((it) => it.track);
      if (!sender || !line.track) continue;
      const track = (await this.sound.microphone()).clone();
      track.enabled = !this.#muted.has(call);
      await sender.replaceTrack(track);
      line.track.stop();
      line.track = track;
    }
  }

  #shut({ connection, track, player }: Line): void {
    connection.onconnectionstatechange = null;
    connection.close();
    track?.stop();
    player.srcObject = null;
  }
}

const GATHERING_PATIENCE_MS = 250;
const RESTART_AFTER_MS = 500;
const RESTART_AGAIN_MS = 3_000;
