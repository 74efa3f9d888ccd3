// Microphone, speaker and bell: which ones, how loud the microphone is, and an echo to try them with.
// What was chosen is kept by the browser; when a device is gone, the system's own takes its place.

import { load, store } from "./kept";
import { loudness } from "./loudness";

type Kind = "microphone" | "speaker" | "bell";
export interface Device {
  id: string;
  label: string;
}
interface Choice extends Record<Kind, string> {
  /** Whether the browser takes out echo and noise and levels the voice. */
  processing: boolean;
}

export class Sound {
  microphones = $state<Device[]>([]);
  speakers = $state<Device[]>([]);
  choice = $state<Choice>(load("sound", { microphone: "", speaker: "", bell: "", processing: true }));
  /** How loud the microphone is now, 0 to 1 of full scale in steps of dB. */
  level = $state(0);
  /** How loud the echo that comes back is. */
  echo = $state(0);
  echoing = $state(false);
  /** Why there is no microphone. */
  fault = $state<"denied" | "missing" | "failed" | null>(null);
  /** Whether the speaker can be chosen at all in this browser. */
  readonly routable = "setSinkId" in HTMLMediaElement.prototype;
  /** Told when calls must take another microphone or speaker. */
  changed: (() => Promise<void>) | null = null;

  #stream: Promise<MediaStream> | null = null;
  #context: AudioContext | null = null;
  #meters = new Map<string, () => void>();
  #busy = false;
  #bell: { player: HTMLAudioElement; stop: () => void } | null = null;

  constructor() {
    navigator.mediaDevices?.addEventListener("devicechange", () => this.#changed());
  }

  /** What there is to choose from; names come only after the microphone was allowed once. */
  async list(): Promise<void> {
    const all = (await navigator.mediaDevices?.enumerateDevices()) ?? [];
    const of = (kind: MediaDeviceKind) =>
      all
        .filter((it) => it.kind === kind && it.deviceId !== "")
        .map((it) => ({ id: it.deviceId, label: it.label }));
    this.microphones = of("audioinput");
    this.speakers = of("audiooutput");
  }

  /** The microphone's track, opened if it is not; whoever uses it takes a clone. */
  async microphone(): Promise<MediaStreamTrack> {
    this.#stream ??= this.#capture();
    const track = (await this.#stream).getAudioTracks()[0];
    if (track?.readyState === "live") return track;
    this.#stream = this.#capture();
    const again = (await this.#stream).getAudioTracks()[0];
    if (!again) throw new Error("no microphone");
    return again;
  }

  /** Whether calls use the microphone; when nobody does it is let go, so that the browser's sign goes out. */
  use(busy: boolean): void {
    this.#busy = busy;
    if (busy || this.#meters.size > 0) return;
    release(this.#stream);
    this.#stream = null;
  }

  player(): HTMLAudioElement {
    const player = new Audio();
    player.autoplay = true;
    this.route(player);
    return player;
  }

  route(player: HTMLAudioElement, kind: "speaker" | "bell" = "speaker"): void {
    if (!this.routable) return;
    // A device that is gone: the system's own is used.
    player.setSinkId(this.choice[kind]).catch(() => player.setSinkId("").catch(() => {}));
  }

  async choose(kind: Kind, id: string): Promise<void> {
    this.choice[kind] = id;
    await this.#apply(kind === "microphone");
  }

  async process(on: boolean): Promise<void> {
    this.choice.processing = on;
    await this.#apply(true);
  }

  /** Shows the microphone's level until told to stop. */
  async meter(): Promise<() => void> {
    await this.#measure();
    await this.list();
    return () => {
      this.stopEcho();
      this.#meters.get("level")?.();
      this.use(this.#busy);
    };
  }

  /** Plays the microphone through the chosen speaker, a second late, until stopped. */
  async startEcho(): Promise<void> {
    const context = this.#running();
    const track = (await this.microphone()).clone();
    const source = new MediaStreamAudioSourceNode(context, { mediaStream: new MediaStream([track]) });
    const delay = new DelayNode(context, { delayTime: ECHO_SECONDS, maxDelayTime: ECHO_SECONDS });
    const out = new MediaStreamAudioDestinationNode(context);
    source.connect(delay).connect(out);
    const player = this.player();
    player.srcObject = out.stream;
    await player.play();
    this.echoing = true;
    const stop = this.#watch(delay, (level) => {
      this.echo = level;
    });
    this.#meters.set("echo", () => {
      stop();
      track.stop();
      source.disconnect();
      player.srcObject = null;
      this.echo = 0;
      this.echoing = false;
      this.#meters.delete("echo");
    });
  }

  stopEcho(): void {
    this.#meters.get("echo")?.();
  }

  /** Rings by the bell's device until told to stop. */
  ring(on: boolean): void {
    if (on === (this.#bell !== null)) return;
    if (!on) {
      this.#bell?.stop();
      this.#bell = null;
      return;
    }
    const context = this.#running();
    const out = new MediaStreamAudioDestinationNode(context);
    const gain = new GainNode(context, { gain: 0 });
    const tones = [440, 480].map((frequency) => new OscillatorNode(context, { frequency }));
    for (const tone of tones) {
      tone.connect(gain);
      tone.start();
    }
    gain.connect(out);
    const strike = () => {
      const now = context.currentTime;
      for (const at of [0, 0.6]) {
        gain.gain.setTargetAtTime(0.15, now + at, 0.01);
        gain.gain.setTargetAtTime(0, now + at + 0.4, 0.03);
      }
    };
    strike();
    const timer = setInterval(strike, 3_000);
    const player = new Audio();
    this.route(player, "bell");
    player.srcObject = out.stream;
    player.play().catch(() => {});
    this.#bell = {
      player,
      stop: () => {
        clearInterval(timer);
        for (const tone of tones) tone.stop();
        player.srcObject = null;
      },
    };
  }

  /** A device came or went. */
  async #changed(): Promise<void> {
    await this.list();
    const gone = !this.microphones.some((it) => it.id === this.choice.microphone);
    if (this.#stream && (gone || !this.choice.microphone)) await this.#apply(true);
  }

  async #apply(microphone: boolean): Promise<void> {
    store("sound", $state.snapshot(this.choice));
    if (this.#bell) this.route(this.#bell.player, "bell");
    const old = this.#stream;
    if (microphone && old) {
      this.#stream = null;
      if (this.#meters.has("level")) await this.#measure();
    }
    if (this.#meters.has("echo")) {
      this.stopEcho();
      await this.startEcho();
    }
    // First the calls take the new one, then the old one is let go.
    await this.changed?.();
    if (microphone) release(old);
  }

  async #capture(): Promise<MediaStream> {
    const { microphone, processing } = this.choice;
    const audio: MediaTrackConstraints = {
      echoCancellation: processing,
      noiseSuppression: processing,
      autoGainControl: processing,
      channelCount: 1,
    };
    try {
      const stream = await this.#get({ ...audio, deviceId: microphone ? { exact: microphone } : undefined });
      this.fault = null;
      return stream;
    } catch (error) {
      const name = error instanceof DOMException ? error.name : "";
      if (microphone && (name === "OverconstrainedError" || name === "NotFoundError")) {
        return this.#get(audio);
      }
      this.fault = name === "NotAllowedError" ? "denied" : name === "NotFoundError" ? "missing" : "failed";
      this.#stream = null;
      throw error;
    }
  }

  #get(audio: MediaTrackConstraints): Promise<MediaStream> {
    // Absent where the page came over plain HTTP from another machine.
    if (!navigator.mediaDevices) return Promise.reject(new DOMException("insecure", "NotAllowedError"));
    return navigator.mediaDevices.getUserMedia({ audio });
  }

  async #measure(): Promise<void> {
    this.#meters.get("level")?.();
    const track = (await this.microphone()).clone();
    const context = this.#running();
    const source = new MediaStreamAudioSourceNode(context, { mediaStream: new MediaStream([track]) });
    const stop = this.#watch(source, (level) => {
      this.level = level;
    });
    this.#meters.set("level", () => {
      stop();
      track.stop();
      source.disconnect();
      this.level = 0;
      this.#meters.delete("level");
    });
  }

  /** Tells a node's loudness ten times a second: 0 at -60 dB, 1 at full scale. */
  #watch(node: AudioNode, tell: (level: number) => void): () => void {
    const analyser = new AnalyserNode(this.#running(), { fftSize: 2_048 });
    node.connect(analyser);
    const samples = new Float32Array(analyser.fftSize);
    const timer = setInterval(() => {
      analyser.getFloatTimeDomainData(samples);
      tell(loudness(samples));
    }, 100);
    return () => {
      clearInterval(timer);
      node.disconnect(analyser);
    };
  }

  #running(): AudioContext {
    this.#context ??= new AudioContext();
    if (this.#context.state === "suspended") void this.#context.resume();
    return this.#context;
  }
}

/** Lets a microphone go, if it was ever there. */
function release(stream: Promise<MediaStream> | null): void {
  stream
    ?.then((it) => {
      for (const track of it.getTracks()) track.stop();
    })
    .catch(() => {});
}

const ECHO_SECONDS = 1;
