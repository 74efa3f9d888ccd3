"""Says what Autobahn's suite has found, and fails if that is a failure: report.py INDEX.json, of any Python."""

import collections
import json
import sys

# On a WebSocket that carries SIP an empty message is a keep-alive (RFC 5626, RFC 7118): it does not come back.
KEEP_ALIVES = {"1.1.1", "1.2.1", "6.1.1", "6.1.2"}
GOOD = {"OK", "NON-STRICT", "INFORMATIONAL"}


def main(path):
    with open(path) as file:
        index = json.load(file)
    bad = not index
    for agent, cases in sorted(index.items()):
        counts = collections.Counter()
        for case, found in sorted(cases.items()):
            behaviour, close = found["behavior"], found["behaviorClose"]
            if agent == "sip" and case in KEEP_ALIVES:
                counts["keep-alives, not sent back" if behaviour == "FAILED" else "keep-alives, sent back"] += 1
                bad = bad or behaviour != "FAILED"
                continue
            counts[behaviour] += 1
            if behaviour not in GOOD or close not in GOOD:
                bad = True
                print("%s: case %s: %s, close %s" % (agent, case, behaviour, close))
        total = ", ".join("%d %s" % (count, what) for what, count in sorted(counts.items()))
        print("%s: %d cases: %s" % (agent, len(cases), total))
    sys.exit(1 if bad else 0)


main(sys.argv[1])
