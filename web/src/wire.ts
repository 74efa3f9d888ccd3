// The desk's protocol, `tandem.desk.v1`: JSON text messages, as docs/desk-protocol.md has them.
// Times are durations in ms up to the message, so that no two clocks need to agree.

export const SUBPROTOCOL = "tandem.desk.v1";

export interface Party {
  name?: string | null;
  number?: string | null;
}

/** What is known of a call before it is answered. */
export interface Context {
  caller?: Party | null;
  queue?: string | null;
  waited_ms?: number | null;
  path?: string[] | null;
  attributes?: Record<string, string> | null;
  timeout_ms?: number | null;
}

export interface Missed {
  caller?: Party | null;
  queue?: string | null;
  ago_ms?: number | null;
  call?: string;
}

export interface Waiting {
  waiting: string;
  position: number;
  waited_ms: number;
  caller?: Party | null;
  /** The agent that it rings at. */
  offered_to?: string | null;
  expected_ms?: number | null;
}

export interface Queue {
  name: string;
  waiting: Waiting[];
  /** How many wait, of whom only the first are listed. */
  count?: number;
  agents: Record<string, number>;
  longest_ms?: number | null;
}

export interface Status {
  state: string;
  since_ms: number;
  next?: string | null;
  reason?: string | null;
  until_ms?: number | null;
}

export interface Quality {
  mos?: number | null;
  loss?: number | null;
  jitter_ms?: number | null;
  rtt_ms?: number | null;
  unheard?: boolean;
}

export interface Welcome {
  agent: string;
  endpoint: string;
  queues?: string[];
  dispositions?: string[];
  break_reasons?: string[];
  resume?: string | null;
  ice_servers?: RTCIceServer[];
  status?: Status;
  missed?: Missed[];
}

export interface Fault {
  id: string;
  message: string;
}

export type Want = "available" | "break" | "training" | "away";
export type Taping = "start" | "pause" | "resume" | "stop";

/** What the server says. */
export type Said =
  | ({ type: "done"; id: number } & Done)
  | { type: "refused"; id: number | null; error: Fault }
  | ({ type: "welcome" } & Welcome)
  | ({ type: "status" } & Status)
  | ({ type: "ring"; call: string; sdp: string } & Context)
  | ({ type: "attach"; call: string; sdp: string } & Context)
  | { type: "progress"; call: string; state: "ringing" | "early"; sdp?: string }
  | { type: "answered"; call: string; sdp?: string }
  | { type: "held"; call: string; on: boolean; by: "us" | "them" }
  | { type: "offer"; call: string; sdp: string }
  | { type: "ended"; call: string; cause?: string; by?: string; text?: string }
  | { type: "transferred"; call: string; state: "trying" | "done" | "failed"; status?: number }
  | { type: "merged"; calls: string[] }
  | { type: "recording"; call: string; state: string }
  | { type: "queues"; queues: Queue[] }
  | ({ type: "missed" } & Missed)
  | ({ type: "quality"; call: string } & Quality)
  | { type: "bye"; reason?: string };

/** What `done` carries besides its id. */
export interface Done {
  sdp?: string;
  call?: string;
}

/** What the desk asks; the link adds the id. */
export type Ask =
  | { type: "login"; token: string }
  | { type: "login"; resume: string }
  | { type: "login"; endpoint: string; password: string }
  | { type: "status"; want: Want; reason?: string }
  | { type: "dial"; call: string; to: string; sdp: string }
  | { type: "answer"; call: string; sdp: string }
  | { type: "decline"; call: string; reason?: string }
  | { type: "hang_up"; call: string }
  | { type: "hold"; call: string; on: boolean }
  | { type: "renegotiate"; call: string; sdp: string }
  | { type: "key"; call: string; digit: string }
  | { type: "transfer"; call: string; to: string }
  | { type: "complete"; call: string; with: string }
  | { type: "merge"; calls: string[] }
  | { type: "record"; call: string; do: Taping }
  | { type: "pick"; queue: string; waiting: string }
  | { type: "note"; call: string; text: string }
  | { type: "dispose"; call: string; code: string }
  | { type: "wrap_up"; do: "end" | "extend" }
  | { type: "attach"; call: string; sdp: string }
  | { type: "log_out" };
