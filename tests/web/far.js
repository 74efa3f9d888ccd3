// The far ends of the desk's calls, as a page of their own: each says a tone and listens for another.

import { Ear, mouth } from "./ears.js";

const lines = new Map();

class Far {
  async offer(call, hz = 440) {
    const line = this.#open(call, hz);
    await line.setLocalDescription(await line.createOffer());
    return gathered(line);
  }

  async answered(call, sdp) {
    await lines.get(call).setRemoteDescription({ type: "answer", sdp });
  }

  /** The answer to an offer of the desk; to a further one, in the same connection. */
  async take(call, sdp, hz = 440) {
    const line = lines.get(call) ?? this.#open(call, hz);
    await line.setRemoteDescription({ type: "offer", sdp });
    await line.setLocalDescription(await line.createAnswer());
    return gathered(line);
  }

  /** Another offer in the call that stands. */
  async again(call) {
    const line = lines.get(call);
    await line.setLocalDescription(await line.createOffer());
    return gathered(line);
  }

  async listen(call, hz) {
    const ear = new Ear(hz);
    await ear.listen(lines.get(call));
    lines.get(call).ear = ear;
  }

  latest(call, seconds = 0.5) {
    return lines.get(call).ear.latest(seconds);
  }

  close(call) {
    lines.get(call)?.close();
    lines.delete(call);
  }

  #open(call, hz) {
    this.close(call);
    const line = new RTCPeerConnection();
    lines.set(call, line);
    const stream = mouth(hz);
    for (const track of stream.getTracks()) line.addTrack(track, stream);
    return line;
  }
}

async function gathered(line) {
  while (line.iceGatheringState !== "complete") await new Promise((resolve) => setTimeout(resolve, 10));
  return line.localDescription.sdp;
}

globalThis.far = new Far();
